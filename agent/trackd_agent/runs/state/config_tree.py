"""The run configuration as it is uploaded: mappings merge, empty ones leave no trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.runs.state import tree

if TYPE_CHECKING:
    from trackd_proto.records import ConfigUpdate

#: Below this key the protocol keeps its own facts; scripts reach a few of them.
RESERVED = "_wandb"


class ConfigTree:
    """The configuration of one writer."""

    def __init__(self, initial: dict[str, Any] | None = None) -> None:
        self.changed = True
        self._tree: tree.Tree = {}
        tree.merge_all(self._tree, initial or {})

    def update(self, record: ConfigUpdate) -> None:
        """Take one change."""
        for path, value in record.set:
            tree.merge(self._tree, tuple(path), value)
        for path in record.remove:
            tree.remove(self._tree, tuple(path))
        self.changed = True

    def value(self) -> dict[str, Any]:
        """Return a copy of the values, with `_wandb` where a script set something in it."""
        return tree.plain(self._tree)

    def to_state(self) -> tree.Tree:
        """Return what `from_state` needs."""
        return self._tree

    @classmethod
    def from_state(cls, state: tree.Tree) -> ConfigTree:
        """Return the configuration as it was."""
        made = cls()
        made._tree, made.changed = state, False
        return made
