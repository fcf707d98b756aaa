"""Searching registries: `registries().collections().versions()`, each filtered and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.api.collection import ArtifactCollection
from trackd.api.collections import collection_of
from trackd.api.errors import refusing
from trackd.api.filters import as_json, checked_filter, checked_order, names
from trackd.api.operations import registry as operations
from trackd.api.paginator import Paginator, SizedPaginator
from trackd.api.registries.registry import Registry
from trackd.api.registries.versions import (
    COLLECTION_FIELDS,
    OF_REGISTRIES,
    REGISTRY_FIELDS,
    Chained,
    Filter,
    Filters,
    Searched,
    check_no_start,
    only,
    page_length,
    page_of,
)
from trackd.artifacts.naming import REGISTRY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trackd.api.errors import Node
    from trackd.remote.connection import Remote

_ORDER_FIELDS = names("name", "created_at", "updated_at")


class Registries(Searched, Paginator[Registry]):
    """The registries of an organization; see `Api.registries`."""

    def __init__(
        self,
        remote: Remote,
        organization: str,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> None:
        self.organization = organization
        self.filter = checked_filter(filter, REGISTRY_FIELDS, OF_REGISTRIES)
        self.order = checked_order(order, _ORDER_FIELDS)
        variables: Node = {
            "organization": organization,
            "filters": as_json(self.filter),
            "order": self.order,
        }
        super().__init__(remote, operations.REGISTRIES, variables, per_page, start)

    @property
    def length(self) -> int | None:
        """How many the page holds that was fetched last; None: none was."""
        return page_length(self.last_response)

    @refusing
    def collections(
        self,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Collections | OrderedCollections:
        """Return the collections of these registries.

        Args:
            filter: on fields of collections.
            order: `+field` or `-field` of `name`, `created_at`, `updated_at`.
            per_page: length of a page.
            start: cursor of an earlier list; not where the registries have an order.
        """

        def found(registries: Filter, start: str | None = None) -> Collections:
            return Collections(
                self._remote, self.organization, registries, filter, order, per_page, start
            )

        if self.order is None:
            return found(self.filter, start)
        check_no_start(start, self.order)
        return OrderedCollections(
            self._remote, self.organization, self.order, (found(only(each)) for each in self)
        )

    def _all_places(self) -> Filters | None:
        return (self.filter, None) if self.order is None else None

    def _each_place(self) -> Iterator[Filters]:
        return ((only(registry), None) for registry in self)

    def _connection(self, answer: Node) -> Node:
        return page_of(answer, self.organization, "projects")

    def _made(self, edge: Node) -> Registry | None:
        node = edge.get("node")
        if node is None:
            return None
        name = node["name"].removeprefix(REGISTRY_PREFIX)
        return Registry(self._remote, self.organization, node["entity"]["name"], name, node)


class Collections(Searched, SizedPaginator[ArtifactCollection]):
    """Collections in registries."""

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        organization: str,
        registry_filter: Filter = None,
        collection_filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> None:
        self.organization = organization
        self.registry_filter = checked_filter(registry_filter, REGISTRY_FIELDS, OF_REGISTRIES)
        self.collection_filter = checked_filter(collection_filter, COLLECTION_FIELDS)
        self.order = checked_order(order, _ORDER_FIELDS)
        variables: Node = {
            "organization": organization,
            "registryFilter": as_json(self.registry_filter),
            "collectionFilter": as_json(self.collection_filter),
            "order": self.order,
        }
        super().__init__(remote, operations.COLLECTIONS, variables, per_page, start)

    def _all_places(self) -> Filters | None:
        return (self.registry_filter, self.collection_filter) if self.order is None else None

    def _each_place(self) -> Iterator[Filters]:
        return map(_place_of, self)

    def _connection(self, answer: Node) -> Node:
        return page_of(answer, self.organization, "artifactCollections")

    def _made(self, edge: Node) -> ArtifactCollection | None:
        made = collection_of(self._remote, edge.get("node"), self.organization)
        return None if made is None or made.is_sequence() else made


class OrderedCollections(Searched, Chained[ArtifactCollection]):
    """Collections, by the order of their registries."""

    def __init__(
        self,
        remote: Remote,
        organization: str,
        order: str,
        lists: Iterable[Paginator[ArtifactCollection]],
    ) -> None:
        super().__init__(lists)
        self._remote = remote
        self.organization = organization
        self.order = order

    def _all_places(self) -> None:
        """Return nothing: they have an order."""

    def _each_place(self) -> Iterator[Filters]:
        return map(_place_of, self)


def _place_of(collection: ArtifactCollection) -> Filters:
    return only(collection), {"name": collection.name}
