"""An offline run on a small agent, and what it recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trackd_proto.records import ArtifactLogged, FileSaved, Row

if TYPE_CHECKING:
    from tests.unit.sdk.small_agent import SmallAgent

    from trackd.runs.run import Run

T = TypeVar("T")


class Stage:
    """A run, and what it recorded."""

    def __init__(self, run: Run, agent: SmallAgent) -> None:
        self.run = run
        self.files = Path(run.dir)
        self._agent = agent

    def of_kind(self, kind: type[T]) -> list[T]:
        """Finish the run; return its records of a kind."""
        self.run.finish()
        return [record for record in self._agent.records() if isinstance(record, kind)]

    def rows(self) -> list[dict[str, Any]]:
        return [row.data for row in self.of_kind(Row)]

    def published(self) -> list[tuple[str, str]]:
        """Return path and policy of each media file that was announced."""
        saved = self.of_kind(FileSaved)
        return [(one.path, one.policy) for one in saved if one.path.startswith("media/")]

    def media(self) -> set[str]:
        """Return the paths of all files below the files folder."""
        files = (path for path in self.files.rglob("*") if path.is_file())
        return {str(path.relative_to(self.files)) for path in files} - {"requirements.txt"}

    def artifacts(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return name, type and the JSON entries by path of each artifact."""
        return [
            (
                one.name,
                one.type,
                {
                    entry.path: json.loads((self.files.parent / entry.local_path).read_text())
                    for entry in one.entries
                    if entry.local_path and entry.path.endswith(".json")
                },
            )
            for one in self.of_kind(ArtifactLogged)
        ]

    def table_files(self) -> list[str]:
        return sorted(path.name for path in (self.files / "media/table").rglob("*.json"))

    def content(self, form: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON in the file that a value of a row names."""
        return json.loads((self.files / form["path"]).read_text())
