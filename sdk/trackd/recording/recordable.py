"""What a value that is more than numbers and text needs of its run, and how it is asked.

Media, tables and charts derive from `Recordable`. `log()` and the summary turn them into plain
values through it, on the caller's thread; rows without such values never come here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trackd.settings import Settings
    from trackd_proto.records import ArtifactLogged


class RunPlace(Protocol):
    """What a value may do to the run in which it is recorded."""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...

    @property
    def settings(self) -> Settings:
        """Settings in force."""
        ...

    @property
    def files_dir(self) -> Path:
        """The run's files folder."""
        ...

    @property
    def artifacts(self) -> Sequence[tuple[str, str]]:
        """Client ids and names of the artifacts that this process recorded."""
        ...

    @property
    def resumed_summary(self) -> Mapping[str, Any]:
        """The summary with which a resumed run began; empty for a new one."""
        ...

    def publish_file(self, path: str, policy: str = "now") -> None:
        """Announce a file; `path` is relative to the files folder, with forward slashes."""
        ...

    def set_config(self, path: list[str], value: Any) -> None:
        """Set a value of the configuration, such as `["_wandb", "visualize", key]`."""
        ...

    def record_artifact(self, artifact: ArtifactLogged) -> None:
        """Record an artifact with its manifest."""
        ...

    def warn(self, text: str) -> None:
        """Tell the user something once."""
        ...


class Slot(NamedTuple):
    """Where in the run a value is recorded."""

    #: Its key: in nested mappings of a row the innermost; in the summary all, joined with dots.
    key: str
    #: The process's own count of rows, or `summary`.
    step: int | str


class Recordable(ABC):
    """A value that writes files or more into its run and leaves a plain value in the row."""

    #: Most elements of a list of this type that make one combined object; 0: never combined.
    max_batch: ClassVar[int] = 0

    @abstractmethod
    def to_history(self, place: RunPlace, slot: Slot) -> Any:
        """Record what belongs to the value; return what stands for it in the row.

        Raises:
            TypeError: the value cannot be recorded.
            ValueError: the value cannot be recorded.
        """

    @classmethod
    def batch_to_history(cls, items: Sequence[Any], place: RunPlace, slot: Slot) -> Any:
        """Record a list of values of this type as one object; see `max_batch`."""
        raise NotImplementedError(f"{cls.__name__} has no list form")
