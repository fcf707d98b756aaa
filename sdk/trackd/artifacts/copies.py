"""Copies of artifacts, by `copy` and `pickle`.

A deep or pickled copy of a draft is another artifact: it has ids of its own, so that a server
takes both for two, and its files are links to those that the first one staged. Where that one is
gone, as with its process, they are, too.
"""

from __future__ import annotations

import shutil
import threading
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trackd.artifacts.contents import ArtifactContents
from trackd.artifacts.drafts.staging import Staging
from trackd.artifacts.facts import new_client_id, register
from trackd.artifacts.manifest import Manifest

if TYPE_CHECKING:
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry

#: What belongs to one object alone.
_OWN = ("_staging", "_lock", "_known", "_added_values", "client_id", "sequence_client_id")
#: What can be changed of a version on a server.
_CHANGEABLE = ("_metadata", "_aliases", "_tags")


class CopiedArtifact(ArtifactContents):
    """An artifact that can be copied; drafts also by `pickle`."""

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        # The files of both are those of the first, which has to live as long.
        vars(made).update(vars(self), _original=self)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._was_logged:  # both stand for what the server has
            made = self.__copy__()
            vars(made).update({name: deepcopy(vars(self)[name], memo) for name in _CHANGEABLE})
            return made
        made = object.__new__(type(self))
        made.__setstate__(deepcopy(self.__getstate__(), memo))
        return made

    def __getstate__(self) -> dict[str, Any]:
        if self._was_logged:
            raise TypeError(
                f"artifact {self.name!r} was logged and cannot be pickled: hand over its "
                "qualified_name, and get it with Api().artifact(...)"
            )
        self.copy_left_files(None)
        state = {name: value for name, value in vars(self).items() if name not in _OWN}
        manifest = self.manifest
        state["_manifest"] = (manifest.algorithm, manifest.storage_policy.region)
        entries = manifest.entries.values()
        state["_entries"] = [(self._staging.owns(e.local_path or ""), e) for e in entries]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        entries: list[tuple[bool, ManifestEntry]] = state.pop("_entries")
        manifest = Manifest(*state.pop("_manifest"))
        vars(self).update(state)
        self.client_id, self.sequence_client_id = new_client_id(), new_client_id()
        self._lock, self._known = threading.RLock(), []
        self._staging = staging = Staging(self, self.client_id[:24])
        manifest.fill(_staged(entry, staging) if copied else entry for copied, entry in entries)
        self._manifest = manifest
        vars(self)["_added_values"] = {}  # by id, which are those of other objects now
        register(self)

    @property
    def _was_logged(self) -> bool:
        return cast("Artifact", self).is_being_saved or not self.is_draft()


def _staged(entry: ManifestEntry, staging: Staging) -> ManifestEntry:
    """Return an entry whose file is staged for the copy."""
    source, target = Path(entry.local_path or ""), staging.new_path()
    try:
        target.hardlink_to(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the copy of an artifact cannot be made: file {str(source)!r} of entry "
            f"{entry.path!r} went with the artifact or process that had it"
        ) from error
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)
    return replace(entry, local_path=str(target))
