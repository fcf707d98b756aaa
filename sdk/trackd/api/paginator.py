"""Lists that a server hands out page by page, fetched while they are iterated over.

A paginator keeps what it fetched, so that it can be iterated over again and indexed. Its `cursor`
says where the next page starts; given as `start=` to a later call, also in another process, that
goes on there. Memory grows with the pages that were asked for, and with nothing else.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from trackd.remote.answers import part, understood

if TYPE_CHECKING:
    from typing import Self

    from trackd.api.errors import Node
    from trackd.remote.connection import Remote
    from trackd.remote.operations import Operation

_Item = TypeVar("_Item")


def checked_per_page(per_page: int) -> int:
    """Return the length of a page.

    Raises:
        ValueError: it is not positive.
        TypeError: it is no whole number.
    """
    if not isinstance(per_page, int):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
        raise TypeError(f"per_page={per_page!r}: give a whole number")
    if per_page < 1:
        raise ValueError(f"per_page={per_page} is not possible: a page holds 1 item or more")
    return per_page


class Paginator(Iterator[_Item], ABC, Generic[_Item]):
    """A list of objects, fetched as it is needed.

    Args:
        remote: the server.
        operation: query with the variables `cursor` and `perPage`.
        variables: all others.
        per_page: length of a page.
        start: cursor of an earlier paginator.
    """

    def __init__(
        self,
        remote: Remote,
        operation: Operation,
        variables: Node,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        self._remote = remote
        self._operation = operation
        self._start = start
        self.variables = variables
        #: Length of a page.
        self.per_page = checked_per_page(per_page)
        #: What was fetched so far.
        self.objects: list[_Item] = []
        self.index = -1
        #: The connection of the page that was fetched last.
        self.last_response: Node | None = None

    def __iter__(self) -> Self:
        self.index = -1
        return self

    def __next__(self) -> _Item:
        self.index += 1
        while len(self.objects) <= self.index:  # a page may be empty: of hidden objects only
            if not self._load_page():
                raise StopIteration
        return self.objects[self.index]

    next = __next__

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Item]: ...
    def __getitem__(self, index: int | slice) -> _Item | list[_Item]:
        stop = index.stop if isinstance(index, slice) else index + 1
        if stop is None or stop <= 0:  # from the end: only the last page knows it
            stop = sys.maxsize
        while stop > len(self.objects) and self._load_page():
            pass
        return self.objects[index]

    @property
    def more(self) -> bool:
        """Tell whether there are pages to fetch."""
        if self.last_response is None:
            return True
        return bool(part(self.last_response, "pageInfo", "hasNextPage"))

    @property
    def cursor(self) -> str | None:
        """Where the next page starts; `start=` of a later call."""
        if self.last_response is None:
            return self._start
        return part(self.last_response, "pageInfo", "endCursor")

    def _load_page(self) -> bool:
        """Fetch a page; False: there is none."""
        if not self.more:
            return False
        self.variables.update({"cursor": self.cursor, "perPage": self.per_page})
        answer = self._remote.execute(self._operation, self.variables)
        with understood(self._operation.name):
            page = self._connection(answer)
            made = [item for item in map(self._made, page["edges"]) if item is not None]
        self.last_response = page
        self.objects += made
        return True

    @abstractmethod
    def _connection(self, answer: Node) -> Node:
        """Return where in the answer the page is.

        Raises:
            NotThereError: what it belongs to does not exist.
        """

    @abstractmethod
    def _made(self, edge: Node) -> _Item | None:
        """Return the object of an edge; None: it is left out."""


class SizedPaginator(Paginator[_Item]):
    """A list whose length the server tells."""

    def __len__(self) -> int:
        if self.last_response is None:
            self._load_page()
        total: Any = part(self.last_response, "totalCount")
        if total is None:
            raise NotImplementedError(
                f"the server does not tell the length of {type(self).__name__}"
            )
        return int(total)
