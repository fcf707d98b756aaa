"""What a server says of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from trackd.api.attrs import Attrs
from trackd.api.errors import Node, RunNotFoundError
from trackd.api.operations import runs as operations
from trackd.api.users import User
from trackd.remote.answers import part

if TYPE_CHECKING:
    from trackd.remote.connection import Remote
    from trackd.remote.operations import Operation

#: Keys of a configuration that are no user's.
_OUR_KEYS = frozenset({"_wandb", "wandb_version"})
_HEAVY = ("config", "summaryMetrics", "systemMetrics")


class RunSummary(dict[str, Any]):
    """The summary of a run, its values as attributes too; `update()` sends it to the server."""

    def __init__(self, remote: Remote, storage_id: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._remote = remote
        self._storage_id = storage_id

    def __getattr__(self, name: str) -> Any:
        if name in self and not name.startswith("_"):
            return self[name]
        raise AttributeError(f"the summary has no value {name!r}")

    @property
    def _json_dict(self) -> dict[str, Any]:
        """The values; scripts that export runs use this name."""
        return dict(self)

    def update(  # type: ignore[override]
        self, key_vals: Mapping[str, Any] | None = None, overwrite: bool = True
    ) -> None:
        """Take values in, and send the summary to the server.

        Args:
            key_vals: values by name.
            overwrite: False: those that are there already stay.

        Raises:
            CommError: the server refuses, or does not answer.
        """
        for name, value in (key_vals or {}).items():
            if overwrite or name not in self:
                self[name] = value
        variables = {"id": self._storage_id, "summaryMetrics": json.dumps(dict(self))}
        self._remote.execute(operations.UPDATE_SUMMARY, variables)


class RunFacts(Attrs):
    """The facts of a run; `Run` adds what can be done with it.

    Besides the properties below, every field of the server is an attribute: `tags`, `group`,
    `job_type`, `notes`, `created_at`, `heartbeat_at`, `history_line_count`, …

    Args:
        remote: the server.
        entity: user or team.
        project: name of the project.
        run_id: id of the run.
        attrs: what the server says of it; None: it is asked.
        lazy: leave configuration, summary and system metrics out until they are needed.

    Raises:
        RunNotFoundError: there is no such run.
    """

    def __init__(
        self,
        remote: Remote,
        entity: str,
        project: str,
        run_id: str,
        attrs: Node | None = None,
        lazy: bool = True,
    ) -> None:
        super().__init__(attrs or {})
        self._remote = remote
        self._lazy = lazy
        self._config: dict[str, Any] | None = None
        self._summary: RunSummary | None = None
        self.entity = entity
        self.project = project
        self._attrs.setdefault("name", run_id)
        if not attrs:
            self.load(force=True)

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.path)} ({self.state})>"

    def load(self, force: bool = False) -> Node:
        """Return the fields of the run.

        Args:
            force: ask the server again.

        Raises:
            RunNotFoundError: there is no such run.
        """
        if force:
            chosen = operations.ONE_LIGHT_RUN if self._lazy else operations.ONE_FULL_RUN
            self._attrs = self._fetched(chosen)
            self._config = self._summary = None
        return self._attrs

    def load_full_data(self, force: bool = False) -> Node:
        """Return all fields of the run, with configuration, summary and system metrics.

        Raises:
            RunNotFoundError: there is no such run.
        """
        if force:
            self._lazy = False
            return self.load(force=True)
        if any(name not in self._attrs for name in _HEAVY):
            # What was changed meanwhile, and not sent yet, stays.
            self._attrs = {**self._fetched(operations.ONE_FULL_RUN), **self._attrs}
        return self._attrs

    def _fetched(self, chosen: Operation) -> Node:
        found = part(self._execute(chosen), "project", "run")
        if found is None:
            raise RunNotFoundError(f"there is no run {'/'.join(self.path)}")
        return found

    def _execute(self, chosen: Operation, **variables: Any) -> Node:
        place = {"entity": self.entity, "project": self.project, "name": self.id}
        return self._remote.execute(chosen, {**place, **variables})

    # --- identity ----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Id of the run, in its address."""
        return self._attrs["name"]

    @property
    def storage_id(self) -> str:
        """Id of the run inside the server."""
        return self._attrs["id"]

    @property
    def project_internal_id(self) -> int | None:
        """Number of the project inside the server."""
        found = self._attrs.get("projectId")
        return None if found is None else int(found)

    @property
    def username(self) -> str:
        """The entity; older name of `entity`."""
        return self.entity

    @property
    def name(self) -> str | None:
        """Name for people. Can be set; `update()` sends it."""
        return self._attrs.get("displayName")

    @name.setter
    def name(self, name: str) -> None:
        self._attrs["displayName"] = name

    @property
    def path(self) -> list[str]:
        """Entity, project and id, as in an address."""
        return [quote(part_, safe="") for part_ in (self.entity, self.project, self.id)]

    @property
    def url(self) -> str:
        """Address of its page."""
        entity, project, run_id = self.path
        return f"{self._remote.app_url}/{entity}/{project}/runs/{run_id}"

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed`, `crashed`, `killed`, `preempted` or `pending`."""
        return self._attrs.get("state", "not found")

    @property
    def user(self) -> User:
        """Who made it."""
        return User(self._attrs.get("user") or {})

    # --- values ------------------------------------------------------------------------------

    @property
    def rawconfig(self) -> dict[str, Any]:
        """Configuration with the recorder's own keys."""
        stored = _as_dict(self.load_full_data().get("config"))
        return {key: _bare(value) for key, value in stored.items()}

    @property
    def config(self) -> dict[str, Any]:
        """Configuration. Its values can be changed; `update()` sends them."""
        if self._config is None:
            values = self.rawconfig
            self._config = {k: v for k, v in values.items() if k not in _OUR_KEYS}
        return self._config

    @property
    def json_config(self) -> str:
        """Configuration as it is stored."""
        raw = self.rawconfig
        ours = {key: raw[key] for key in raw if key == "_wandb"}
        values = {**ours, **self.config}
        return json.dumps({key: {"value": value, "desc": None} for key, value in values.items()})

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """Summary, as a plain dictionary."""
        return _as_dict(self.load_full_data().get("summaryMetrics"))

    @property
    def summary(self) -> RunSummary:
        """Summary; `summary.update()` sends what was changed."""
        if self._summary is None:
            self._summary = RunSummary(self._remote, self.storage_id, self.summary_metrics)
        return self._summary

    @property
    def system_metrics(self) -> dict[str, Any]:
        """Last system metrics."""
        return _as_dict(self.load_full_data().get("systemMetrics"))


def _as_dict(value: object) -> dict[str, Any]:
    """Return what a server sends as JSON text or as an object."""
    if isinstance(value, str):
        value = json.loads(value, strict=False) if value else {}
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _bare(value: Any) -> Any:
    """Return a value of a configuration without what it is wrapped in."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get("value", value)  # pyright: ignore[reportUnknownArgumentType]
    return value
