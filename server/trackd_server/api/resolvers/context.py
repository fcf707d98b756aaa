"""What resolvers share during one operation, and small tools for connections."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphql import GraphQLResolveInfo
    from sqlalchemy import Connection

    from trackd_server.api.context import Services
    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.listing.pages import Page
    from trackd_server.domain.run_records import Client

    Info = GraphQLResolveInfo[Any]

T = TypeVar("T")

#: Entries of a page when the client names no number, and the most it gets.
DEFAULT_PAGE = 50
MAX_PAGE = 10_000
#: How long an operation may go on reading; it occupies a worker.
MAX_OPERATION_S = 60.0


class RequestContext:
    """One operation: services, caller, and the snapshot that its reads share."""

    def __init__(self, services: Services, client: Client, base_url: str) -> None:
        self.services = services
        self.client = client
        self.base_url = base_url
        #: Collections read from the snapshot, by number: many versions of a page are of one.
        self.collections: dict[int, CollectionView] = {}
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._end_s = time.monotonic() + MAX_OPERATION_S

    def __enter__(self) -> RequestContext:
        return self

    def __exit__(self, *exc: object) -> None:
        self.renew()

    @property
    def connection(self) -> Connection:
        """Return the snapshot, opened with the first read.

        How long a change before it took is not counted: the change is done.
        """
        if self._connection is None:
            self._end_s = time.monotonic() + MAX_OPERATION_S
        if time.monotonic() > self._end_s:
            raise InvalidRequest(
                f"The operation takes longer than {MAX_OPERATION_S:.0f} s: ask for less at once."
            )
        if self._connection is None:
            self._connection = self._stack.enter_context(self.services.database.read())
        return self._connection

    def renew(self) -> None:
        """Let go of the snapshot: after a change the next read shall see it."""
        self._connection = None
        self.collections.clear()
        self._stack.close()


def context_of(info: Info) -> RequestContext:
    """Return the operation's context."""
    return info.context


def iso(moment: float) -> str:
    """Return a time as W&B writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def paged(
    items: Sequence[T], after: str | None, first: int | None, show: Callable[[T], Any]
) -> dict[str, Any]:
    """Return one page of a list as a connection; the cursor is the place in the list."""
    start, count = window(after, first)
    return page_of(items[start : start + count], start, len(items), show)


def window(after: str | None, first: int | None) -> tuple[int, int]:
    """Return the place of a page's first item and how many it may have."""
    start = int(after) + 1 if after and after.isdecimal() and len(after) < 16 else 0
    return start, min(max(DEFAULT_PAGE if first is None else first, 0), MAX_PAGE)


def keyed(
    page: Page,
    items: Iterable[Any],
    total: Callable[[Any], int],
    show: Callable[[Any], Any] = lambda item: item,
) -> dict[str, Any]:
    """Return a page that goes on after a key as a connection; `total` is called if asked for.

    `items` have an `id`; what went away since the page was chosen is left out.
    """
    found = {item.id: item for item in items}
    edges = [
        {"node": show(found[id_]), "cursor": cursor}
        for id_, cursor in zip(page.ids, page.cursors, strict=True)
        if id_ in found
    ]
    return {
        "edges": edges,
        "totalCount": total,
        "pageInfo": {
            "endCursor": page.cursors[-1] if page.cursors else None,
            "hasNextPage": page.has_more,
        },
    }


def page_of(
    chosen: Sequence[T], start: int, total: int, show: Callable[[T], Any]
) -> dict[str, Any]:
    """Return items that were chosen from `total` ones as a connection."""
    edges = [{"node": show(item), "cursor": str(place)} for place, item in enumerate(chosen, start)]
    return {
        "edges": edges,
        "totalCount": total,
        "pageInfo": {
            "endCursor": edges[-1]["cursor"] if edges else str(start - 1) if start else None,
            "hasNextPage": start + len(chosen) < total,
        },
    }
