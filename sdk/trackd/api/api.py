"""`Api`: what servers hold, to be read, searched and edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

from trackd.api.artifact_calls import ArtifactCalls
from trackd.api.errors import AbsentError, NotThereError, RefusedError, elsewhere, refusing
from trackd.api.operations import runs as operations
from trackd.api.projects import Project, Projects
from trackd.api.registries.calls import RegistryCalls
from trackd.api.run_lists import Runs
from trackd.api.runs import Run
from trackd.api.users import Team, User
from trackd.artifacts.naming import DEFAULT_PROJECT
from trackd.remote.answers import nodes
from trackd.remote.connection import Remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.errors import Node

_OLDEST_FIRST = "+created_at"
#: Settings that can be given as `overrides`.
_OVERRIDES = ("base_url", "entity", "project", "organization")
#: What the reference's `Api` has besides, and why this one has not.
_ABSENT = {
    **dict.fromkeys(
        (
            "automation",
            "automations",
            "create_automation",
            "delete_automation",
            "update_automation",
            "integrations",
            "slack_integrations",
            "webhook_integrations",
        ),
        elsewhere("automations"),
    ),
    **dict.fromkeys(
        (
            "create_run_queue",
            "job",
            "list_jobs",
            "queued_run",
            "run_queue",
            "upsert_run_queue",
        ),
        elsewhere("jobs and queues"),
    ),
    **dict.fromkeys(("create_team", "create_user"), elsewhere("new teams and users")),
    "create_custom_chart": elsewhere("custom charts"),
    "reports": elsewhere("reports"),
    "sweep": elsewhere("sweeps"),
    "sync_tensorboard": "init(sync_tensorboard=True) takes the files while they are written",
}


class Api(ArtifactCalls, RegistryCalls):
    """A server's runs, artifacts and registries.

    It needs no run. The agent asks the server, so that keys, proxies and retries are those of runs.

    Args:
        overrides: `base_url`, `entity`, `project`, `organization` instead of the settings'.
        timeout: seconds that one request may take, repetitions included; default: 60.
        api_key: key of the server; None: the one that is known for it.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        api_key: str | None = None,
    ) -> None:
        given = dict(overrides or {})
        self._remote = Remote.of_server(given.get("base_url") or "", api_key or "")
        for name in _OVERRIDES[1:]:
            if given.get(name):
                setattr(self._remote.settings, name, given[name])
        known = self._remote.settings
        #: `base_url` (empty: the server of this machine), `entity`, `project`, `organization`.
        self.settings = {name: getattr(known, name) for name in _OVERRIDES}
        if timeout is not None:
            self._remote.timeout_s = timeout
        self.api_key = api_key
        self._runs: dict[object, Runs | Run] = {}
        self._viewer: User | None = None

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ABSENT:
            raise AbsentError("Api", name, _ABSENT[name])
        raise AttributeError(f"Api has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<Api {self.settings['base_url'] or 'of this machine'}>"

    @property
    def viewer(self) -> User:
        """Who the key belongs to.

        Raises:
            NotThereError: the server does not say.
        """
        if self._viewer is None:
            found = self._remote.execute(operations.VIEWER).get("viewer")
            if not found:
                raise NotThereError("the server does not say whose key this is: check it")
            self._viewer = User(found)
        return self._viewer

    def flush(self) -> None:
        """Forget runs: they are fetched again when they are asked for."""
        self._runs.clear()

    @refusing
    def users(self, username_or_email: str) -> list[User]:
        """Return the users whose name or address starts or ends so; for administrators."""
        answer = self._remote.execute(operations.USERS, {"query": username_or_email})
        return [User(node) for node in nodes(answer, "users")]

    def user(self, username_or_email: str) -> User | None:
        """Return a user by name or address, for administrators; None: there is none."""
        found = self.users(username_or_email)
        return found[0] if found else None

    @refusing
    def team(self, team: str) -> Team:
        """Return a team with its members.

        Args:
            team: its name.

        Raises:
            NotThereError: there is none.
        """
        found = self._remote.execute(operations.TEAM, {"name": team}).get("entity")
        if not found:
            raise NotThereError(f"there is no team {team!r}")
        return Team(team, found)

    # --- projects ----------------------------------------------------------------------------

    @refusing
    def projects(self, entity: str | None = None, per_page: int = 200) -> Projects:
        """Return the projects of an entity.

        Args:
            entity: user or team; None: the default one.
            per_page: length of a page.
        """
        return Projects(self._remote, self._entity(entity), per_page)

    @refusing
    def project(self, name: str, entity: str | None = None) -> Project:
        """Return a project; the server is asked when more than its name is needed.

        Args:
            name: of the project; of a registry with `wandb-registry-`.
            entity: user, team or organization; None: the default one.
        """
        place = f"{entity}/{name}" if entity else name
        return Project(self._remote, *self._project_place(place), {})

    def create_project(self, name: str, entity: str | None = None) -> None:
        """Create a project.

        Args:
            name: of the project.
            entity: user or team; None: the default one.
        """
        wanted = {"name": name, "entityName": self._entity(entity)}
        self._remote.execute(operations.CREATE_PROJECT, {"input": wanted})

    def from_path(self, path: str) -> Project | Run:
        """Return the project or the run of a path.

        Args:
            path: `project`, `entity/project`, `entity/project/run_id`,
                `entity/project/runs/run_id`.

        Raises:
            RefusedError: it is none of these.
        """
        parts = path.strip("/ ").split("/")
        if len(parts) == 1:
            return self.project(parts[0])
        if len(parts) == 2:
            return self.project(parts[1], parts[0])
        if len(parts) == 3 or (len(parts) == 4 and parts[2].startswith("run")):
            return self.run(path)
        raise RefusedError(f"path {path!r}: write entity/project or entity/project/runs/run_id")

    # --- runs --------------------------------------------------------------------------------

    @refusing
    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = _OLDEST_FIRST,
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
    ) -> Runs:
        """Return the runs of a project.

        Args:
            path: `[entity/]project`.
            filters: on fields of runs, in the manner of MongoDB, such as
                `{"config.lr": {"$gt": 0.1}, "state": "finished"}`.
            order: `+field` or `-field`, such as `-summary_metrics.loss`.
            per_page: length of a page.
            include_sweeps: accepted and ignored.
            lazy: leave configuration, summary and system metrics out until they are needed.
        """
        key = (path, str(filters), order)
        known = self._runs.get(key)
        if isinstance(known, Runs):
            if not lazy:
                known.upgrade_to_full()
            return known
        place = self._project_place(path)
        found = Runs(self._remote, *place, filters, order, per_page, include_sweeps, lazy)
        self._runs[key] = found
        return found

    @refusing
    def run(self, path: str = "") -> Run:
        """Return a run.

        Args:
            path: `[[entity/]project/]run_id`.

        Raises:
            RunNotFoundError: there is none.
        """
        known = self._runs.get(path)
        if not isinstance(known, Run):
            known = Run(self._remote, *self._run_place(path), lazy=False)
            self._runs[path] = known
        return known

    @refusing
    def create_run(
        self,
        *,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        state: Literal["running", "pending"] = "running",
    ) -> Run:
        """Create a run without a process; `init()` is how a run is made that logs.

        Args:
            run_id: its id; None: a new one.
            project: name of the project; None: that of the settings.
            entity: user or team; None: the default one.
            state: of a `pending` run, the process comes later.

        Raises:
            RefusedError: the server refuses.
        """
        from trackd.identity import generate_id

        variables: Node = {
            "entity": self._entity(entity),
            "project": project or self._remote.settings.project or DEFAULT_PROJECT,
            "name": run_id or generate_id(),
            "state": state,
        }
        made = self._remote.execute(operations.CREATE_RUN, variables)["upsertBucket"]["bucket"]
        place = made["project"]
        return Run(self._remote, place["entity"]["name"], place["name"], made["name"], lazy=False)
