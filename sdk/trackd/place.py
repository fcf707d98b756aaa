"""The run as a value sees it that writes files, settings or artifacts of its own into it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from trackd.recording.values import to_history
from trackd_proto.records import ConfigUpdate, FileSaved, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trackd.context import WriterContext
    from trackd.recording.recorder import Recorder
    from trackd.settings import Settings
    from trackd_proto.records import ArtifactLogged

#: So many artifacts are waited for at the end of a run.
_MAX_ARTIFACTS = 10_000


class WriterPlace:
    """What values may do to the run that one writer records; see `RunPlace`.

    Args:
        context: of the run.
        recorder: of this process.
    """

    def __init__(self, context: WriterContext, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        #: Client ids and names of the artifacts of this process, the newest of very many.
        self.artifacts: deque[tuple[str, str]] = deque(maxlen=_MAX_ARTIFACTS)
        #: What this process put into the configuration last, by path.
        self._configured: dict[tuple[str, ...], Any] = {}

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._context.identity.run_id

    @property
    def settings(self) -> Settings:
        """Settings in force."""
        return self._context.settings

    @property
    def files_dir(self) -> Path:
        """The run's files folder."""
        return self._context.run_dir / "files"

    @property
    def resumed_summary(self) -> Mapping[str, Any]:
        """The summary with which a resumed run began; empty for a new one."""
        context = self._context
        return context.summary if context.identity.resumed else {}

    def publish_file(self, path: str, policy: str = "now") -> None:
        """Announce a file; `path` is relative to the files folder, with forward slashes."""
        self._recorder.record(Kind.FILE, FileSaved(path=path, policy=policy))

    def set_config(self, path: list[str], value: Any) -> None:
        """Set a value of the configuration, such as `["_wandb", "visualize", key]`."""
        plain = to_history(value)
        if self._configured.get(tuple(path)) != plain:  # charts and labels come with every row
            self._configured[tuple(path)] = plain
            self._recorder.record(Kind.CONFIG, ConfigUpdate(set=[(path, plain)]))

    def record_artifact(self, artifact: ArtifactLogged) -> None:
        """Record an artifact with its manifest."""
        self.artifacts.append((artifact.client_id, artifact.name))
        self._recorder.record(Kind.ARTIFACT, artifact)

    def warn(self, text: str) -> None:
        """Tell the user something once."""
        self._context.terminal.warn_once(text)
