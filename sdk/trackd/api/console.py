"""The lines that a run's processes wrote to their consoles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trackd.api.errors import NotThereError
from trackd.api.operations import runs as operations
from trackd.api.paginator import Paginator
from trackd.remote.answers import part

if TYPE_CHECKING:
    from trackd.api.errors import Node
    from trackd.api.run_facts import RunFacts
    from trackd.remote.connection import Remote


@dataclass(frozen=True)
class ConsoleLogLine:
    """A line of a console.

    `number` counts through all writers from 0; `timestamp` (UTC) is None where the server does not
    know it; `level` is `error` for lines of stderr, else empty; `label` names the writer of a run
    of several; `content` is the text.
    """

    number: int
    timestamp: datetime | None
    level: str
    label: str
    content: str


class ConsoleLogs(Paginator[ConsoleLogLine]):
    """Lines of a run's console, the oldest first.

    Args:
        remote: the server.
        run: the run.
        per_page: length of a page; not for the last lines, which are one page.
        last: only so many lines from the end; None: all.

    Raises:
        ValueError: `per_page` or `last` is not positive.
    """

    def __init__(
        self, remote: Remote, run: RunFacts, per_page: int = 1_000, last: int | None = None
    ) -> None:
        if last is not None and last < 1:
            raise ValueError(f"last={last} is not possible: ask for 1 line or more")
        self.run = run
        self._last = last
        variables: Node = {"entity": run.entity, "project": run.project, "name": run.id}
        if last is not None:
            variables["last"] = last
        chosen = operations.CONSOLE_PAGE if last is None else operations.CONSOLE_TAIL
        super().__init__(remote, chosen, variables, per_page)

    def __repr__(self) -> str:
        return f"<ConsoleLogs {'/'.join(self.run.path)}>"

    @property
    def more(self) -> bool:
        """Tell whether there are lines to fetch; the last ones are one page."""
        return super().more and (self._last is None or self.last_response is None)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "run", "logLines")
        if found is None:
            raise NotThereError(f"there is no run {'/'.join(self.run.path)}")
        return found

    def _made(self, edge: Node) -> ConsoleLogLine | None:
        node = edge["node"]
        return ConsoleLogLine(
            int(node["number"]),
            _moment(node.get("timestamp")),
            node.get("level") or "",
            node.get("label") or "",
            node["line"],
        )


def _moment(text: str | None) -> datetime | None:
    """Return a time that a server tells, in UTC if it names no zone; None for what is no time."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
