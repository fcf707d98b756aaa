"""Records that are larger than a frame may be: told apart into several, as far as that goes.

One value without bounds must cost neither the values beside it nor the run its first record,
which says what all others belong to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from trackd_proto.frames import MAX_FRAME_PAYLOAD_BYTES
from trackd_proto.records import ConfigUpdate, Kind, Start, SummaryUpdate, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

#: What is left of a text of a first record that is too large even without its values.
_KEPT_CHARACTERS = 4_096
_KEPT_TAGS = 64
_VALUES = {ConfigUpdate: Kind.CONFIG, SummaryUpdate: Kind.SUMMARY}


def pieces(kind: Kind, payload: msgspec.Struct) -> Iterator[tuple[Kind, msgspec.Struct]]:
    """Yield records of at most the size of a frame that say the same as a larger one together.

    A record that cannot be told apart comes back as it is.
    """
    if isinstance(payload, Start):
        yield from _pieces_of_start(payload)
    elif isinstance(payload, ConfigUpdate | SummaryUpdate):
        yield from _pieces_of_values(payload)
    else:
        yield kind, payload


def description(kind: Kind, payload: msgspec.Struct) -> str:
    """Return how a message names a record."""
    if isinstance(payload, ConfigUpdate | SummaryUpdate) and payload.set:
        path = ".".join(payload.set[0][0])
        return f"{kind.name.lower()}: the value of {path[:60]!r}"
    return f"the {kind.name.lower()} record"


def _pieces_of_start(start: Start) -> Iterator[tuple[Kind, msgspec.Struct]]:
    bare = structs.replace(start, config={}, summary={})
    if len(encode(bare)) > MAX_FRAME_PAYLOAD_BYTES:
        bare = structs.replace(
            bare,
            name=_cut(bare.name),
            notes=_cut(bare.notes),
            group=_cut(bare.group),
            job_type=_cut(bare.job_type),
            tags=[tag[:_KEPT_CHARACTERS] for tag in bare.tags[:_KEPT_TAGS]],
            environment={},
        )
    yield Kind.START, bare
    yield from _pieces_of_values(ConfigUpdate(set=_by_path(start.config)))
    yield from _pieces_of_values(SummaryUpdate(set=_by_path(start.summary)))


def _pieces_of_values(
    update: ConfigUpdate | SummaryUpdate,
) -> Iterator[tuple[Kind, msgspec.Struct]]:
    kind, values = _VALUES[type(update)], update.set
    if len(values) > 1 and len(encode(update)) > MAX_FRAME_PAYLOAD_BYTES:
        half = len(values) // 2
        yield from _pieces_of_values(structs.replace(update, set=values[:half], remove=[]))
        yield from _pieces_of_values(structs.replace(update, set=values[half:]))
    elif values or update.remove:
        yield kind, update


def _by_path(tree: dict[str, Any]) -> list[tuple[list[str], Any]]:
    return [([key], value) for key, value in tree.items()]


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_KEPT_CHARACTERS]
