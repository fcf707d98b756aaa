"""Searching registries: `registries().collections().versions()`, each filtered and in order.

A chain without an order is one query: the server joins. Where the registries (or collections) were
asked for in an order, what they hold comes in that order, one query for each.
"""

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
    Versions,
    check_no_start,
    only,
    page_length,
    page_of,
    versions_of_each,
)
from trackd.artifacts.naming import REGISTRY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.api.errors import Node
    from trackd.artifacts import Artifact
    from trackd.remote.connection import Remote

_ORDER_FIELDS = names("name", "created_at", "updated_at")


class Registries(Paginator[Registry]):
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
        settings: Node = {"order": order, "per_page": per_page}
        if self.order is None:
            return Collections(
                self._remote, self.organization, self.filter, filter, start=start, **settings
            )
        check_no_start(start, self.order)
        return OrderedCollections(
            self._remote,
            self.organization,
            (
                Collections(self._remote, self.organization, only(each), filter, **settings)
                for each in self
            ),
        )

    @refusing
    def versions(
        self,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Versions | Chained[Artifact]:
        """Return the versions in these registries.

        Args:
            filter: on fields of versions.
            order: `+field` or `-field` of `created_at`, `artifact_size`, `linked_at`.
            per_page: length of a page.
            start: cursor of an earlier list; not where the registries have an order.
        """
        settings: Node = {"artifact_filter": filter, "order": order, "per_page": per_page}
        if self.order is None:
            return Versions(self._remote, self.organization, self.filter, start=start, **settings)
        check_no_start(start, self.order)
        return Chained(
            Versions(self._remote, self.organization, only(each), **settings) for each in self
        )

    def _connection(self, answer: Node) -> Node:
        return page_of(answer, self.organization, "projects")

    def _made(self, edge: Node) -> Registry | None:
        node = edge.get("node")
        if node is None:
            return None
        name = node["name"].removeprefix(REGISTRY_PREFIX)
        return Registry(self._remote, self.organization, node["entity"]["name"], name, node)


class Collections(SizedPaginator[ArtifactCollection]):
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

    @refusing
    def versions(
        self,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Versions | Chained[Artifact]:
        """Return the versions that these collections link to.

        Args:
            filter: on fields of versions.
            order: `+field` or `-field` of `created_at`, `artifact_size`, `linked_at`.
            per_page: length of a page.
            start: cursor of an earlier list; not where the collections have an order.
        """
        settings: Node = {"artifact_filter": filter, "order": order, "per_page": per_page}
        if self.order is None:
            return Versions(
                self._remote,
                self.organization,
                self.registry_filter,
                self.collection_filter,
                start=start,
                **settings,
            )
        check_no_start(start, self.order)
        return versions_of_each(self._remote, self.organization, self, settings)

    def _connection(self, answer: Node) -> Node:
        return page_of(answer, self.organization, "artifactCollections")

    def _made(self, edge: Node) -> ArtifactCollection | None:
        made = collection_of(self._remote, edge.get("node"), self.organization)
        return None if made is None or made.is_sequence() else made


class OrderedCollections(Chained[ArtifactCollection]):
    """Collections, by the order of their registries."""

    def __init__(
        self,
        remote: Remote,
        organization: str,
        lists: Iterable[Paginator[ArtifactCollection]],
    ) -> None:
        super().__init__(lists)
        self._remote = remote
        self.organization = organization

    def versions(
        self,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Chained[Artifact]:
        """Return the versions of these collections, in their order; see `Collections.versions`."""
        check_no_start(start, "of the registries")
        settings: Node = {"artifact_filter": filter, "order": order, "per_page": per_page}
        return versions_of_each(self._remote, self.organization, self, settings)
