"""Collections: what holds the versions of an artifact, or links to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trackd.api.collection_facts import CollectionFacts
from trackd.api.errors import RefusedError, refusing
from trackd.api.operations import artifacts as operations
from trackd.artifacts.rules import MAX_NAME_CHARACTERS, checked_some, checked_tags, checked_type
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.api.errors import Node


class ArtifactCollection(CollectionFacts):
    """A collection: the versions of an artifact (a sequence), or links (a portfolio).

    `name`, `type`, `description` and `tags` can be set; `save()` sends them. Its arguments are
    those of `CollectionFacts`.
    """

    @property
    def name(self) -> str:
        """Name. Can be set.

        Raises:
            ValueError: when set: too long, empty, or with a `/`.
        """
        return self._current.name

    @name.setter
    def name(self, name: str) -> None:
        if not name or "/" in name or len(name) > MAX_NAME_CHARACTERS:
            raise ValueError(
                f"collection name {name[:40]!r} ({len(name)} characters): 1 to "
                f"{MAX_NAME_CHARACTERS} characters without '/' are allowed"
            )
        self._current = replace(self._current, name=name)

    @property
    def type(self) -> str:
        """Type of its artifacts. Can be set for a sequence.

        Raises:
            ValueError: when set: it is no sequence.
        """
        return self._current.type

    @type.setter
    def type(self, type: str) -> None:
        if not self.is_sequence():
            raise ValueError(
                f"type={type!r}: {self.name!r} links to artifacts, which keep their type; only "
                "that of a sequence can be changed"
            )
        self._current = replace(self._current, type=type)

    @property
    def description(self) -> str | None:
        """Free text. Can be set."""
        return self._current.description

    @description.setter
    def description(self, description: str | None) -> None:
        self._current = replace(self._current, description=description)

    @property
    def tags(self) -> list[str]:
        """Tags. Can be set and changed.

        Raises:
            TypeError: when set: None, or a tag is no text.
            ValueError: when set: a tag has characters that tags may not have.
        """
        return self._current.tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self._current = replace(self._current, tags=checked_tags(checked_some("tags", tags)))

    @refusing
    def save(self) -> None:
        """Send what was changed.

        Raises:
            ValueError: a tag has characters that tags may not have.
            RefusedError: the type is reserved, or the server refuses the change.
            CommError: the server does not answer.
        """
        self.tags = self.tags  # they may have been changed in place: checked again
        saved, wanted = self._saved, self._current
        if saved.type != wanted.type:
            checked_type(wanted.type, wanted.name)
            checked_type(saved.type, wanted.name)
        added = [tag for tag in wanted.tags if tag not in saved.tags]
        dropped = [tag for tag in saved.tags if tag not in wanted.tags]
        if (saved.name, saved.description) != (wanted.name, wanted.description):
            self._send_facts()
        if saved.type != wanted.type:
            self._send_type(wanted.type)
        if added:
            self._remote.execute(operations.ADD_COLLECTION_TAGS, self._tag_input(added))
        if dropped:
            self._remote.execute(operations.DELETE_COLLECTION_TAGS, self._tag_input(dropped))
        self._saved = wanted.copy()

    def change_type(self, new_type: str) -> None:
        """Change the type of a sequence; older name of setting `type` and `save()`.

        Raises:
            RefusedError: it is no sequence, or a type is reserved.
        """
        before = self._current
        self._current = self._saved.copy()  # what else was changed waits for its own `save`
        try:
            self.type = new_type
            self.save()
            before = replace(before, type=new_type)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        finally:
            self._current = before

    def delete(self) -> None:
        """Delete the collection: of a sequence all versions, of a portfolio the links."""
        is_sequence = self.is_sequence()
        chosen = operations.DELETE_SEQUENCE if is_sequence else operations.DELETE_PORTFOLIO
        self._remote.execute(chosen, {"id": self.id})

    def _send_facts(self) -> None:
        facts = {"name": self._current.name, "description": self._current.description}
        if self.is_sequence():
            chosen, id_name = operations.UPDATE_SEQUENCE, "artifactSequenceID"
        else:
            chosen, id_name = operations.UPDATE_PORTFOLIO, "artifactPortfolioID"
        answer = self._remote.execute(chosen, {"input": {id_name: self.id, **facts}})
        self._node = part(answer, "result", "artifactCollection") or self._node
        self._saved = replace(self._saved, **facts)  # tags and type are on their way

    def _send_type(self, type: str) -> None:
        moved = {"artifactSequenceID": self.id, "destinationArtifactTypeName": type}
        self._remote.execute(operations.MOVE_SEQUENCE, {"input": moved})
        self._saved = replace(self._saved, type=type)

    def _tag_input(self, tags: list[str]) -> Node:
        return {
            "input": {
                "entityName": self.entity,
                "projectName": self.project,
                "artifactCollectionName": self._current.name,
                "tags": [{"tagName": tag} for tag in tags],
            }
        }
