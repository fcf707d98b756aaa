"""The pumps of one writer, one a server, seen as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anyio

    from trackd_agent.runs.state.writer_state import WriterState


class Carrier(Protocol):
    """What a writer knows of a pump that carries it to a server."""

    over: anyio.Event

    @property
    def acked_seq(self) -> int: ...  # noqa: D102
    @property
    def stored_seqs(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def backlog_bytes(self) -> int: ...  # noqa: D102
    @property
    def unread_bytes(self) -> int: ...  # noqa: D102
    @property
    def stop_requested(self) -> bool: ...  # noqa: D102
    @property
    def dropped(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def exit_code(self) -> int | None: ...  # noqa: D102

    def grew(self, size_bytes: int, *, is_awaited: bool = False) -> None:
        """More was journalled; what is awaited is sent without waiting for the interval."""
        ...

    def hurry(self) -> None:
        """Send what there is without waiting for the interval."""
        ...

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return the state of the last checkpoint and its positions."""
        ...


class Carriers:
    """All pumps of a writer; the first one carries to the run's main server."""

    def __init__(self) -> None:
        self._all: list[Carrier] = []

    def add(self, carrier: Carrier) -> None:
        """One more server."""
        self._all.append(carrier)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def are_over(self) -> bool:
        """Whether each has come to the end of a writer that has ended."""
        return all(carrier.over.is_set() for carrier in self._all)

    async def wait_until_over(self) -> None:
        """Wait until they are over."""
        for carrier in self._all:
            await carrier.over.wait()

    def replace(self, old: Carrier, new: Carrier) -> None:
        """A pump started anew."""
        self._all[self._all.index(old)] = new

    def grew(self, size_bytes: int, *, is_awaited: bool = False) -> None:
        """More was journalled; see `Carrier.grew`."""
        for carrier in self._all:
            carrier.grew(size_bytes, is_awaited=is_awaited)

    def hurry(self) -> None:
        """Send what there is without waiting for the interval."""
        for carrier in self._all:
            carrier.hurry()

    @property
    def uploaded_seq(self) -> int:
        """Highest number that every server has acknowledged."""
        return min((carrier.acked_seq for carrier in self._all), default=0)

    @property
    def stored_seqs(self) -> tuple[int, int]:
        """Numbers of both journals up to which nobody reads again."""
        return (
            min((carrier.stored_seqs[0] for carrier in self._all), default=0),
            min((carrier.stored_seqs[1] for carrier in self._all), default=0),
        )

    @property
    def stop_requested(self) -> bool:
        """Whether a server asks the run to stop."""
        return any(carrier.stop_requested for carrier in self._all)

    @property
    def backlog_bytes(self) -> int:
        """Journal bytes that some server has not acknowledged."""
        return max((carrier.backlog_bytes for carrier in self._all), default=0)

    @property
    def unread_bytes(self) -> int:
        """About how much of the journals was not decoded for some server."""
        return max((carrier.unread_bytes for carrier in self._all), default=0)

    @property
    def dropped(self) -> dict[str, int]:
        """Records lost, by reason, as the main server's pump counts them."""
        return dict(self._all[0].dropped) if self._all else {}

    @property
    def exit_code(self) -> int | None:
        """Exit code that the writer recorded, once its pump came across it."""
        return self._all[0].exit_code if self._all else None

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return the oldest state that all pumps have passed, and its positions."""
        states = [state for carrier in self._all if (state := carrier.remembered())]
        return min(states, key=lambda state: state[1], default=None)
