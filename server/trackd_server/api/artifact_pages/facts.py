"""What pages say about collections and versions in a line, and where these have their pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from trackd_server.api.run_facts import size_text, span
from trackd_server.domain.artifacts.memberships import LATEST

if TYPE_CHECKING:
    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.artifacts.memberships import MembershipView
    from trackd_server.domain.artifacts.versions import VersionView
    from trackd_server.domain.runs import RunView


@dataclass(frozen=True)
class CollectionFacts:
    """What a list says about a collection."""

    name: str
    path: str
    url: str
    project_url: str
    project: str
    type: str
    kind: str
    description: str
    tags: tuple[str, ...]
    newest: str
    updated: str

    @classmethod
    def of(
        cls, collection: CollectionView, now: float, newest: int | None = None
    ) -> CollectionFacts:
        """Collect the facts; `newest` is the highest number of a member."""
        row, project = collection.row, collection.project
        return cls(
            row.name,
            collection.path,
            collection_url(project.entity, project.name, collection.type_name, row.name),
            project_url(project.entity, project.name),
            f"{project.entity} / {project.name}",
            collection.type_name,
            row.kind,
            row.description or "",
            collection.tags,
            "" if newest is None else f"v{newest}",
            ago(now - row.updated_at),
        )


@dataclass(frozen=True)
class MemberFacts:
    """What a list says about a member of a collection."""

    version: str
    url: str
    source: str
    source_url: str
    aliases: list[str]
    tags: tuple[str, ...]
    size: str
    references: str
    files: int
    created: str

    @classmethod
    def of(cls, member: MembershipView, now: float) -> MemberFacts:
        """Collect the facts."""
        version, version_row = member.version, member.version.row
        return cls(
            f"v{member.row.version_index}",
            member_url(member),
            source_name(version),
            source_url(version),
            ordered([alias.alias for alias in member.aliases]),
            version.tags,
            size_text(version_row.bytes),
            size_text(version_row.reference_bytes) if version_row.reference_bytes else "",
            version_row.file_count,
            ago(now - version_row.created_at),
        )


@dataclass(frozen=True)
class Link:
    """A name that leads somewhere, and what else is said of it."""

    text: str
    url: str
    note: str = ""


def link_to_run(run: RunView) -> Link:
    """Return a link to a run's page."""
    row = run.row
    url = "/" + "/".join(
        quote(part, safe="") for part in (row.entity, row.project, "runs", row.name)
    )
    return Link(row.display_name, url, row.name)


def link_to_version(version: VersionView) -> Link:
    """Return a link to a version's page in its own sequence."""
    return Link(source_name(version), source_url(version), version.row.type)


def source_name(version: VersionView) -> str:
    """Return `name:v3`; a draft has no number yet."""
    index = version.row.version_index
    return version.row.collection + (":draft" if index is None else f":v{index}")


def source_url(version: VersionView) -> str:
    """Return where a version's own page is."""
    row = version.row
    address = collection_url(row.entity, row.project, row.type, row.collection)
    return address if row.version_index is None else f"{address}/v{row.version_index}"


def member_url(member: MembershipView) -> str:
    """Return where the page of a member is, as its collection shows it."""
    collection = member.collection
    address = collection_url(
        collection.project.entity,
        collection.project.name,
        collection.type_name,
        collection.row.name,
    )
    return f"{address}/v{member.row.version_index}"


def project_url(entity: str, project: str) -> str:
    """Return where a project's page is."""
    return f"/{quote(entity, safe='')}/{quote(project, safe='')}"


def collection_url(entity: str, project: str, type_name: str, name: str) -> str:
    """Return where a collection's page is, as W&B's client writes it."""
    return f"{project_url(entity, project)}/artifacts/{quote(type_name)}/{quote(name)}"


def ends(version: VersionView, now: float) -> str:
    """Return when a version expires, for people."""
    moment = version.row.expires_at
    return "never" if moment is None else f"in {span(moment - now)}"


def ordered(aliases: list[str]) -> list[str]:
    """Return aliases with `latest` first."""
    return sorted(aliases, key=lambda alias: (alias != LATEST, alias))


def ago(seconds: float) -> str:
    """Return how long ago something was, for people."""
    return "just now" if seconds < 5 else f"{span(seconds)} ago"
