"""Trees of nested mappings as runs hold them: rows, configuration, summary.

A tree has only leaves and the mappings on the way to them: an empty mapping is nothing. A
leaf put where a subtree stands replaces it, and the other way round. A mapping that is one
value (an explicit summary write) is wrapped in `WholeMapping` so that it counts as a leaf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

Tree = dict[str, Any]
Path = tuple[str, ...]


class WholeMapping:
    """A mapping that is one leaf of a tree."""

    __slots__ = ("value",)

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value


def whole(value: object) -> object:
    """Return the value as one leaf, also when it is a mapping."""
    return WholeMapping(cast("dict[str, Any]", value)) if type(value) is dict else value


def put_leaf(tree: Tree, path: Sequence[str], value: object) -> None:
    """Put a leaf at `path`, making or replacing what stands on the way."""
    *parents, last = path
    for name in parents:
        child = tree.get(name)
        if type(child) is not dict:
            child = tree[name] = cast("Tree", {})
        tree = cast("Tree", child)
    tree[last] = value


def merge(tree: Tree, path: Sequence[str], value: object) -> None:
    """Put a value at `path`; of a mapping only its leaves count, and they join what is there."""
    if type(value) is not dict:
        put_leaf(tree, path, value)
    elif _has_leaf(cast("Tree", value)):
        for name in path:
            child = tree.get(name)
            if type(child) is not dict:
                child = tree[name] = cast("Tree", {})
            tree = cast("Tree", child)
        merge_all(tree, cast("Tree", value))


def merge_all(tree: Tree, other: Tree) -> None:
    """Merge every leaf of `other` into `tree`."""
    for name, value in other.items():
        if type(value) is not dict:
            tree[name] = value
        elif _has_leaf(cast("Tree", value)):
            child = tree.get(name)
            if type(child) is not dict:
                child = tree[name] = cast("Tree", {})
            merge_all(cast("Tree", child), cast("Tree", value))


def _has_leaf(tree: Tree) -> bool:
    return any(type(value) is not dict or _has_leaf(cast("Tree", value)) for value in tree.values())


def remove(tree: Tree, path: Sequence[str]) -> None:
    """Remove the leaf or subtree at `path`, and mappings that become empty by it."""
    if not path:
        return
    name, rest = path[0], path[1:]
    if not rest:
        tree.pop(name, None)
        return
    child = tree.get(name)
    if type(child) is dict:
        subtree = cast("Tree", child)
        remove(subtree, rest)
        if not subtree:
            del tree[name]


def leaves(tree: Tree) -> list[tuple[Path, Any]]:
    """Return each leaf with its path, in order."""
    found: list[tuple[Path, Any]] = []
    _collect_leaves(tree, (), found)
    return found


def _collect_leaves(tree: Tree, path: Path, found: list[tuple[Path, Any]]) -> None:
    for name, value in tree.items():
        if type(value) is dict:
            _collect_leaves(cast("Tree", value), (*path, name), found)
        else:
            found.append(((*path, name), value))


def lookup(tree: Tree, path: Sequence[str]) -> object:
    """Return the leaf or subtree at `path`, or None."""
    node: Any = tree
    for name in path:
        if type(node) is not dict:
            return None
        node = cast("Tree", node).get(name)
    return node


def plain(value: Any) -> Any:
    """Return a copy in which every `WholeMapping` is an ordinary mapping again."""
    if isinstance(value, dict):
        return {name: plain(child) for name, child in cast("Tree", value).items()}
    return value.value if isinstance(value, WholeMapping) else value
