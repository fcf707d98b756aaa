"""Versions in registries: found with one query, or put together in the order of their places."""

from __future__ import annotations

import base64
import binascii
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from trackd.api.errors import NotThereError, refusing
from trackd.api.filters import as_json, checked_filter, checked_order, each_name, names
from trackd.api.operations import registry as operations
from trackd.api.paginator import Paginator
from trackd.api.registries.registry import Registry
from trackd.artifacts.naming import REGISTRY_PREFIX, ArtifactPath
from trackd.artifacts.online import lookup
from trackd.errors import UnsupportedError
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.api.collection import ArtifactCollection
    from trackd.api.errors import Node
    from trackd.artifacts import Artifact
    from trackd.remote.connection import Remote

_Item = TypeVar("_Item")
Filter = Mapping[str, Any] | None
#: Of registries, and of collections.
Filters = tuple[Filter, Filter]

REGISTRY_FIELDS = names("id", "name", "entity_id", "description", "created_at", "updated_at")
COLLECTION_FIELDS = names(
    "artifact_collection_id",
    "name",
    "tag",
    "description",
    "created_at",
    "updated_at",
    id="artifact_collection_id",
    collection_id="artifact_collection_id",
)
_VERSION_FIELDS = names("id", "version", "tag", "alias", "metadata", "created_at", "updated_at")
_ADVANCED_REGISTRY_FIELDS = names("project_id", "name", "entity_id", id="project_id")
_ADVANCED_COLLECTION_FIELDS = names(
    "artifact_collection_id",
    "name",
    "tag",
    id="artifact_collection_id",
    collection_id="artifact_collection_id",
    collection_name="name",
    artifact_collection_name="name",
    tags="tag",
)
_VERSION_ORDER = names(
    "artifact_created_at",
    "artifact_size",
    "acm_created_at",
    created_at="artifact_created_at",
    linked_at="acm_created_at",
)
_ADVANCED_VERSION_FIELDS = names(
    "artifact_id",
    "version",
    "tag",
    "alias",
    "metadata",
    id="artifact_id",
    version_index="version",
    tags="tag",
    aliases="alias",
    artifact_metadata="metadata",
    **_VERSION_ORDER,
)
_ADVANCED_SINCE = "ARTIFACT_COLLECTIONS_FILTERING_SORTING"


def _with_prefix(name: str) -> str:
    return name if name.startswith(REGISTRY_PREFIX) else f"{REGISTRY_PREFIX}{name}"


OF_REGISTRIES = {"name": each_name(_with_prefix)}


def only(place: Registry | ArtifactCollection) -> dict[str, Any]:
    """Return the filter that finds one registry, or that of a collection."""
    is_registry = isinstance(place, Registry)
    internal_id = place.internal_id if is_registry else place.project_internal_id
    number = _project_number(internal_id or "")
    if number is not None:
        return {"id": number}
    return {"name": place.full_name if is_registry else place.project}


def _project_number(internal_id: str) -> int | None:
    try:
        kind, _, number = base64.b64decode(internal_id, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return int(number) if kind in ("Project", "ProjectInternalId") and number.isdigit() else None


def page_of(answer: Node, organization: str, name: str) -> Node:
    """Return a connection of an organization.

    Raises:
        NotThereError: there is no such organization.
    """
    owner = part(answer, "organization", "orgEntity")
    if owner is None:
        raise NotThereError(f"there is no organization {organization!r}")
    return owner[name]


class Versions(Paginator["Artifact"]):
    """Versions in registries."""

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        organization: str,
        registry_filter: Filter = None,
        collection_filter: Filter = None,
        artifact_filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> None:
        self.organization = organization
        if _searches_well(remote, organization):
            fields = _ADVANCED_REGISTRY_FIELDS, _ADVANCED_COLLECTION_FIELDS
            version_fields = _ADVANCED_VERSION_FIELDS
        elif order is not None:
            raise UnsupportedError(
                f"order={order!r}: this server does not sort versions in registries"
            )
        else:
            fields = REGISTRY_FIELDS, COLLECTION_FIELDS
            version_fields = _VERSION_FIELDS
        self.registry_filter = checked_filter(registry_filter, fields[0], OF_REGISTRIES)
        self.collection_filter = checked_filter(collection_filter, fields[1])
        self.artifact_filter = checked_filter(artifact_filter, version_fields)
        self.order = checked_order(order, _VERSION_ORDER)
        variables: Node = {
            "organization": organization,
            "registryFilter": as_json(self.registry_filter),
            "collectionFilter": as_json(self.collection_filter),
            "artifactFilter": as_json(self.artifact_filter),
            "order": self.order,
        }
        super().__init__(remote, operations.VERSIONS, variables, per_page, start)

    @property
    def length(self) -> int | None:
        """How many the page holds that was fetched last; None: none was."""
        return page_length(self.last_response)

    def _connection(self, answer: Node) -> Node:
        return page_of(answer, self.organization, "artifactMemberships")

    def _made(self, edge: Node) -> Artifact | None:
        node = edge.get("node")
        collection = part(node, "artifactCollection")
        project = part(collection, "project")
        if node is None or project is None or not node["artifact"]:
            return None
        if node["versionIndex"] is None:
            return None
        name = f"{collection['name']}:v{node['versionIndex']}"
        path = ArtifactPath(name, project["name"], project["entity"]["name"])
        return lookup.from_membership(self._remote, node, path)


class Chained(Iterator[_Item]):
    """What several lists hold, one after another; each is asked when its turn comes."""

    def __init__(self, lists: Iterable[Paginator[_Item]]) -> None:
        self._items = itertools.chain.from_iterable(lists)

    def __next__(self) -> _Item:
        return next(self._items)

    @property
    def cursor(self) -> NoReturn:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a list put together in an order has no cursor to go on from")

    @property
    def length(self) -> NoReturn:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a list put together in an order does not know its length")

    def __getitem__(self, index: int | slice) -> NoReturn:
        raise UnsupportedError("a list put together in an order can only be iterated over")


class Searched(ABC):
    """What versions are searched in: registries, or collections of registries.

    Places without an order are searched with one query. Where they have one, what they hold comes
    in that order, one query for each.
    """

    _remote: Remote
    organization: str
    #: `+field` or `-field` of the places.
    order: str | None

    @refusing
    def versions(
        self,
        filter: Filter = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Versions | Chained[Artifact]:
        """Return the versions that these places link to.

        Args:
            filter: on fields of versions, in the manner of MongoDB.
            order: `+field` or `-field` of `created_at`, `artifact_size`, `linked_at`.
            per_page: length of a page.
            start: cursor of an earlier list; not where the places have an order.
        """

        def found(places: Filters, start: str | None = None) -> Versions:
            return Versions(
                self._remote, self.organization, *places, filter, order, per_page, start
            )

        if (together := self._all_places()) is not None:
            return found(together, start)
        check_no_start(start, self.order)
        return Chained(found(place) for place in self._each_place())

    @abstractmethod
    def _all_places(self) -> Filters | None:
        """Return what finds all places; None: they have an order."""

    @abstractmethod
    def _each_place(self) -> Iterator[Filters]:
        """Return what finds one place after another."""


def check_no_start(start: str | None, order: str | None) -> None:
    """Refuse a cursor where a list is put together.

    Raises:
        ValueError: there is one.
    """
    if start is not None:
        raise ValueError(
            f"start={start!r} cannot be used with the order {order!r} of what is searched in: "
            "leave one of them out"
        )


def _searches_well(remote: Remote, organization: str) -> bool:
    """Tell whether the server sorts and searches versions by more fields."""
    if _ADVANCED_SINCE not in remote.features:
        return False
    answer = remote.execute(operations.ADVANCED_FEATURES, {"organization": organization})
    return bool(part(answer, "organization", "advancedRegistryFeatures", "advancedSearch"))


def page_length(page: Node | None) -> int | None:
    """Return how many items a page holds; None: there is none."""
    return None if page is None else len(page["edges"])
