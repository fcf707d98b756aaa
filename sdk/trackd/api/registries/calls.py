"""The calls of `Api` about organizations and registries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.api.errors import NotThereError, need_feature, refusing
from trackd.api.operations import registry as operations
from trackd.api.places import Places
from trackd.api.registries.facts import Visibility, access_of
from trackd.api.registries.registry import Registry, create, project_name
from trackd.api.registries.search import Registries
from trackd.api.users import Organization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SEARCH = "ARTIFACT_REGISTRY_SEARCH"
_CREATION = "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION"


class RegistryCalls(Places):
    """Registries of a server, and the organizations that own them."""

    @refusing
    def organization(self, name: str | None = None) -> Organization:
        """Return an organization.

        Args:
            name: its name; None: the one of the default entity.

        Raises:
            NotThereError: there is none.
        """
        wanted = self._organization_name(name)
        found = self._remote.execute(operations.ORGANIZATION, {"org": wanted}).get("organization")
        if not found:
            raise NotThereError(f"there is no organization {wanted!r}")
        return Organization.of_node(found)

    @refusing
    def registries(
        self,
        organization: str | None = None,
        filter: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Registries:
        """Return the registries of an organization; `.collections()` and `.versions()` go on.

        Args:
            organization: its name; None: the one of the default entity.
            filter: on `id`, `name`, `entity_id`, `description`, `created_at`, `updated_at`, in
                the manner of MongoDB, such as `{"name": {"$regex": "model"}}`.
            order: `+field` or `-field` of `name`, `created_at`, `updated_at`.
            per_page: length of a page.
            start: `cursor` of an earlier list.

        Raises:
            ServerTooOldError: the server has no registries.
        """
        need_feature(self._remote.features, _SEARCH, "Api.registries()")
        wanted = self._organization_name(organization)
        return Registries(self._remote, wanted, filter, order, per_page, start)

    @refusing
    def registry(self, name: str, organization: str | None = None) -> Registry:
        """Return a registry.

        Args:
            name: without `wandb-registry-`.
            organization: its name; None: the one of the default entity.

        Raises:
            NotThereError: there is none.
            ServerTooOldError: the server has no registries.
        """
        need_feature(self._remote.features, _SEARCH, "Api.registry()")
        owner = self.organization(organization)
        found = Registry(self._remote, owner.name, owner.org_entity.name, name)
        found.load()
        return found

    @refusing
    def create_registry(
        self,
        name: str,
        visibility: Visibility,
        organization: str | None = None,
        description: str | None = None,
        artifact_types: Iterable[str] | None = None,
    ) -> Registry:
        """Create a registry.

        Args:
            name: without `wandb-registry-`; at most 113 characters.
            visibility: `organization`: for everybody of it; `restricted`: for members.
            organization: its name; None: the one of the default entity.
            description: free text.
            artifact_types: that may be linked; None: all.

        Raises:
            RefusedError: there is a registry of this name, or a value is refused.
            ServerTooOldError: the server has no registries.
        """
        need_feature(self._remote.features, _CREATION, "Api.create_registry()")
        access_of(visibility)
        project_name(name)
        owner = self.organization(organization)
        try:
            Registry(self._remote, owner.name, owner.org_entity.name, name).load()
        except NotThereError:
            return create(
                self._remote,
                owner.name,
                owner.org_entity.name,
                name,
                visibility,
                description,
                artifact_types,
            )
        raise ValueError(
            f"registry {name!r} exists in organization {owner.name!r}: choose another name, or "
            "change that one"
        )
