"""Large files that a server on this machine takes over whole, so that no byte of them travels.

Only copies of ours that the save deletes at its end: they are linked into the server's inbox, which
only processes of its user can enter, on one disk only. Files of which the server has a part already
are not for it: of them only what is new is sent.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec

from trackd_proto.chunks import Cutter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_proto.records import ArtifactEntry

T = TypeVar("T")

#: Smaller files are sent: that is as fast, and they share packs.
MIN_BYTES = 1024 * 1024
#: What is asked of a file to find out whether the server has a part of it: so many pieces, spread
#: over the file, without the chunks at their beginnings, whose cuts are by chance.
_SAMPLES = 16
_SAMPLE_BYTES = 1024 * 1024
_SKIPPED_CHUNKS = 3
#: A file of which the server has this part of the samples, or more, is sent.
_MUCH = 0.125
#: Files whose samples one request asks for.
_FILES_AT_ONCE = 256


class _Missing(msgspec.Struct):
    missing: list[int]


class _Adopted(msgspec.Struct):
    adopted: list[bool]


class _Call(Protocol):
    """One request of the chunk protocol, repeated until it is answered."""

    async def __call__(self, method: str, what: str, body: dict[str, Any], shape: type[T]) -> T: ...


class Adopter:
    """Offers files of one save to a server on this machine.

    Args:
        order: of which the files are.
        call: asks the server.
        named: returns how a file is named there: path, algorithm, digest, size.
        threads: that read.
    """

    def __init__(
        self,
        order: SaveOrder,
        call: _Call,
        named: Callable[[ArtifactEntry], list[Any]],
        threads: anyio.CapacityLimiter,
    ) -> None:
        self._order = order
        self._call = call
        self._named = named
        self._threads = threads

    async def offer(self, entries: Sequence[ArtifactEntry], inbox: Path) -> list[ArtifactEntry]:
        """Return the files that the server has taken over.

        Raises:
            SaveFailed: the server refuses what was asked for.
        """
        chosen = [entry for entry in entries if self._is_offered(entry)]
        adopted: list[ArtifactEntry] = []
        # All are sampled before one is taken over: the server cuts what others brought, first.
        new = [
            entry
            for at in range(0, len(chosen), _FILES_AT_ONCE)
            for entry in await self._new_ones(chosen[at : at + _FILES_AT_ONCE])
        ]
        for at in range(0, len(new), _FILES_AT_ONCE):
            adopted += await self._hand_over(new[at : at + _FILES_AT_ONCE], inbox)
        return adopted

    def _is_offered(self, entry: ArtifactEntry) -> bool:
        is_large = (entry.size or 0) > MIN_BYTES
        is_left = self._order.is_staged(entry) and not self._order.keeps_files
        return is_large and is_left and ".." not in PurePosixPath(entry.local_path or "").parts

    # -- what the server has of them -------------------------------------------------------

    async def _new_ones(self, entries: Sequence[ArtifactEntry]) -> list[ArtifactEntry]:
        """Return the files of which the server has little."""
        run = anyio.to_thread.run_sync
        samples = [await run(self._sample, entry, limiter=self._threads) for entry in entries]
        names = b"".join(name for sample in samples for name in sample)
        answer = await self._call("POST", "missing", {"chunks": names}, _Missing)
        missing = set(answer.missing)
        new: list[ArtifactEntry] = []
        at = 0
        for entry, sample in zip(entries, samples, strict=True):
            unknown = len(missing.intersection(range(at, at + len(sample))))
            at += len(sample)
            if sample and len(sample) - unknown < _MUCH * len(sample):
                new.append(entry)
        return new

    def _sample(self, entry: ArtifactEntry) -> list[bytes]:
        """Return the names of some chunks; none if the file cannot be read."""
        size = entry.size or 0
        step = max(_SAMPLE_BYTES, size // _SAMPLES)
        names: list[bytes] = []
        try:
            with self._order.path_of(entry).open("rb", buffering=0) as file:
                for start in range(0, size, step):
                    piece = os.pread(file.fileno(), _SAMPLE_BYTES, start)
                    chunks = list(Cutter(is_inside=start > 0).feed(piece))
                    names += [chunk.name for chunk in chunks[_SKIPPED_CHUNKS if start else 0 :]]
        except OSError:  # whoever sends it says what is wrong with it
            return []
        return names

    # -- handing over ----------------------------------------------------------------------

    async def _hand_over(
        self, entries: Sequence[ArtifactEntry], inbox: Path
    ) -> list[ArtifactEntry]:
        links = {entry.path: secrets.token_hex(16) for entry in entries}
        try:
            await anyio.to_thread.run_sync(self._link, entries, inbox, links)
            offered = [entry for entry in entries if entry.path in links]
            if not offered:
                return []
            files = [[*self._named(entry), links[entry.path]] for entry in offered]
            answer = await self._call("POST", "adopt", {"files": files}, _Adopted)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, inbox, list(links.values()))
        return [entry for entry, is_taken in zip(offered, answer.adopted, strict=False) if is_taken]

    def _link(self, entries: Sequence[ArtifactEntry], inbox: Path, links: dict[str, str]) -> None:
        """Link files into the inbox; those for which that is not possible lose their name."""
        for entry in entries:
            try:
                os.link(self._order.path_of(entry), inbox / links[entry.path])
            except OSError:  # another disk, another user, no such folder here
                del links[entry.path]


def _remove(inbox: Path, names: Sequence[str]) -> None:
    """Take back what the server did not take."""
    for name in names:
        try:
            (inbox / name).unlink()
        except OSError:  # it is taken, as a rule; what stays the server clears away
            continue
