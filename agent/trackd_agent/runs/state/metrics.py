"""`define_metric`: definitions, globs, and step metrics that are filled in.

A definition addresses leaves by dotted name (`a.b` is nested, `a\\.b` the flat key `a.b`).
A glob is copied for every new leaf that it matches when a row is closed; the copy has the name
with plain dots, so that globs do nothing for flat keys with dots, as in the reference.
A metric with `step_sync` gets its step metric's last value in rows that lack it (0 before the
first one).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trackd_agent.runs.state import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_proto.records import MetricDefinition

#: Numbers of the summary kinds in the upstream form.
_KIND_NUMBERS = {"min": 1, "max": 2, "mean": 3, "last": 5, "none": 6, "first": 8}
_UNESCAPED_DOT = re.compile(r"(?<!\\)\.")
#: Shapes of rows whose plan is remembered; scripts with more shapes than this plan anew.
_MAX_PLANS = 256


class Definition(msgspec.Struct):
    """One metric's definition, after merging."""

    step_metric: str = ""
    step_sync: bool = False
    hidden: bool = False
    #: Defined by name, and not only through a glob.
    explicit: bool = False
    no_summary: bool = False
    kinds: list[str] = msgspec.field(default_factory=list[str])

    def merged(self, record: MetricDefinition) -> Definition:
        """Return the definition with a further call OR-ed into it."""
        sync = bool(record.step_metric) if record.step_sync is None else record.step_sync
        given = record.summary
        kinds = [kind for kind in given or () if kind != "none" and kind in _KIND_NUMBERS]
        return Definition(
            step_metric=record.step_metric or self.step_metric,
            step_sync=self.step_sync or sync,
            hidden=self.hidden or bool(record.hidden),
            explicit=self.explicit or not record.name.endswith("*"),
            no_summary=self.no_summary if given is None else "none" in given,
            kinds=sorted({*self.kinds, *kinds}),
        )


class Plan(NamedTuple):
    """What a row of one shape needs: step metrics that it brings, and such that it lacks."""

    present: tuple[str, ...]
    missing: tuple[str, ...]


def metric_path(name: str) -> tree.Path:
    """Return the path of the leaf that a metric name addresses."""
    return tuple(part.replace("\\.", ".") for part in _UNESCAPED_DOT.split(name))


def metric_name(path: tree.Path) -> str:
    """Return the name that addresses a leaf; the opposite of `metric_path`."""
    return ".".join(part.replace(".", "\\.") for part in path)


class MetricDefinitions:
    """The definitions of one writer, and the last value of each step metric."""

    def __init__(self) -> None:
        self.defined: dict[str, Definition] = {}
        self.globs: dict[str, Definition] = {}
        #: Names whose definition was copied from a glob and never given by the script.
        self.expanded: set[str] = set()
        #: What the script said of names that had been copied from a glob before.
        self.said: dict[str, Definition] = {}
        self.latest_steps: dict[str, int | float] = {}
        self._plans: dict[tuple[str, ...], Plan | None] = {}

    def __bool__(self) -> bool:
        return bool(self.defined or self.globs)

    def define(self, record: MetricDefinition) -> Definition:
        """Take one `define_metric` call and return what is now in force for its name."""
        if record.step_metric:
            self.latest_steps.setdefault(record.step_metric, 0)
        table = self.globs if record.name.endswith("*") else self.defined
        before = Definition() if record.overwrite else table.get(record.name, Definition())
        now = table[record.name] = before.merged(record)
        if record.name in self.expanded or record.name in self.said:
            earlier = Definition() if record.overwrite else self.said.get(record.name, Definition())
            self.said[record.name] = earlier.merged(record)
        self.expanded.discard(record.name)
        self._plans.clear()
        return now

    def prepare(self, row: tree.Tree, *, flat: bool) -> list[tuple[tree.Path, Definition]]:
        """Get a closed row ready: copy globs for new leaves, then insert missing step metrics.

        Args:
            row: the row; step metrics are inserted into it.
            flat: whether it has no nested values; such rows are planned once per set of keys.

        Returns:
            What was newly defined, with the paths of the leaves.
        """
        if not flat:
            made = self._expand(row)
            self._fill_steps(row)
            return made
        keys = tuple(row)
        made: list[tuple[tree.Path, Definition]] = []
        if keys not in self._plans:
            made = self._expand(row)
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[keys] = self._make_plan(row)
        plan = self._plans[keys]
        if plan is None:
            self._fill_steps(row)
            return made
        latest = self.latest_steps
        for name in plan.present:
            value = row[name]
            if type(value) is float or type(value) is int:
                latest[name] = value
        for name in plan.missing:
            row[name] = latest[name]
        return made

    def _expand(self, row: tree.Tree) -> list[tuple[tree.Path, Definition]]:
        made: list[tuple[tree.Path, Definition]] = []
        for path, _ in tree.leaves(row):
            name = ".".join(path)
            if name in self.defined or name.startswith("_"):
                continue
            matching = [glob for glob in self.globs if name.startswith(glob[:-1])]
            if matching:
                # The longest one: the reference leaves open which of several wins.
                copy = msgspec.structs.replace(self.globs[max(matching, key=len)], explicit=True)
                self.defined[name] = copy
                self.expanded.add(name)
                made.append((metric_path(name), copy))
        return made

    def _make_plan(self, row: tree.Tree) -> Plan | None:
        if any("." in name for name in self.latest_steps):
            return None  # such a step metric is nested
        present = tuple(name for name in self.latest_steps if name in row)
        definitions = (self.defined.get(metric_name((name,))) for name in row)
        wanted = {d.step_metric for d in definitions if d and d.step_sync and d.step_metric}
        return Plan(present, tuple(sorted(wanted.difference(row))))

    def _fill_steps(self, row: tree.Tree) -> None:
        for name in self.latest_steps:
            value = tree.lookup(row, name.split("."))
            if type(value) is float or type(value) is int:
                self.latest_steps[name] = value
        wanted: set[str] = set()
        for path, _ in tree.leaves(row):
            definition = self.defined.get(metric_name(path))
            if definition and definition.step_sync and definition.step_metric:
                wanted.add(definition.step_metric)
        for name in sorted(wanted):
            if tree.lookup(row, name.split(".")) is None:
                tree.put_leaf(row, name.split("."), self.latest_steps[name])

    def document(self) -> list[dict[str, Any]]:
        """Return the script's definitions as the run document lists them."""
        given = {name: d for name, d in self.defined.items() if name not in self.expanded}
        return [
            {
                "name": name,
                "step_metric": d.step_metric or None,
                "step_sync": d.step_sync,
                "hidden": d.hidden,
                "summary": sorted([*d.kinds, "none"] if d.no_summary else d.kinds),
            }
            for name, d in sorted({**given, **self.said, **self.globs}.items())
        ]

    def upstream(self) -> list[dict[str, Any]]:
        """Return the form that the W&B protocol keeps in config `_wandb.m`."""
        encoded: list[dict[str, Any]] = []
        index_by_name: dict[str, int] = {}

        def encode(name: str, definition: Definition, field: str) -> int:
            if name in index_by_name:
                return index_by_name[name]
            item: dict[str, Any] = {field: name}
            encoded.append(item)
            index = index_by_name[name] = len(encoded)
            if definition.step_metric:
                step = self.defined.get(definition.step_metric, Definition())
                item["5"] = encode(definition.step_metric, step, "1")
            flags = (definition.step_sync, definition.hidden, definition.explicit)
            if options := [number for number, flag in enumerate(flags, 1) if flag]:
                item["6"] = options
            kinds = [*definition.kinds, "none"] if definition.no_summary else definition.kinds
            if kinds:
                item["7"] = sorted(_KIND_NUMBERS[kind] for kind in kinds)
            return index

        for name, definition in self.defined.items():
            encode(name, definition, "1")
        for name, definition in self.globs.items():
            encode(name, definition, "2")
        return encoded

    def absorb(self, others: Iterable[MetricDefinitions]) -> None:
        """Add the definitions of other writers; earlier ones win, and given ones over copies."""
        for other in others:
            for name, definition in other.defined.items():
                is_copy = name in other.expanded
                if name not in self.defined or (name in self.expanded and not is_copy):
                    self.defined[name] = definition
                    (self.expanded.add if is_copy else self.expanded.discard)(name)
                    if name in other.said:
                        self.said[name] = other.said[name]
            self.globs = {**other.globs, **self.globs}

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        return [self.defined, self.globs, sorted(self.expanded), self.latest_steps, self.said]

    @classmethod
    def from_state(cls, state: list[Any]) -> MetricDefinitions:
        """Return the definitions as they were."""
        made = cls()
        made.defined = msgspec.convert(state[0], dict[str, Definition])
        made.globs = msgspec.convert(state[1], dict[str, Definition])
        made.expanded = set(state[2])
        made.latest_steps = state[3]
        for given in state[4:]:  # an agent of an earlier version kept none
            made.said = msgspec.convert(given, dict[str, Definition])
        return made
