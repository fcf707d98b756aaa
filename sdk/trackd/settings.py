"""Settings of the SDK: one class whose fields are the table of everything that can be set.

A field is one line: name, type, default, rule (`settings_rules`), environment names. Adding a
setting is adding a line. `load` fills an instance in order of precedence, lowest first:
defaults, user file, workspace file, environment, `setup(settings)`, `init(settings=)`,
arguments of `init`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import settings_rules as rules

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODES = ("online", "offline", "shared", "disabled")
_CONSOLE = ("auto", "off", "wrap", "redirect", "wrap_raw", "wrap_emu")
_REINIT = ("default", "return_previous", "finish_previous", "create_new")
_REINIT_ALIASES: Any = {True: "finish_previous", False: "return_previous"}
_RESUME_ALIASES: Any = {True: "auto"}


def _setting(default: Any, rule: rules.Rule, *env: str) -> Any:
    """Return a field: its default, its rule, and environment names that replace the usual one."""
    return field(default=default, metadata={"rule": rule, "env": env})


@dataclass(slots=True, init=False)
class Settings:
    """Everything that can be set for a run.

    `None` means "not set". A field `name` is read from `TRACKD_NAME` (or `WANDB_NAME`; ours
    wins); a field `x_name` also from `TRACKD__NAME`. Assignments are validated.

    Raises:
        ValueError: an unknown name, or a refused value; the message says what is accepted.
        UsageError: a refused `project`, `run_id` or `x_stats_sampling_interval`.
    """

    # What the run is.
    mode: str = _setting(
        "online", rules.one_of(*_MODES, aliases={"dryrun": "offline", "run": "online"})
    )
    project: str | None = _setting(None, rules.project)
    entity: str | None = _setting(None, rules.text)
    run_id: str | None = _setting(None, rules.run_id)
    run_name: str | None = _setting(None, rules.text, "NAME")
    run_notes: str | None = _setting(None, rules.text, "NOTES")
    run_tags: tuple[str, ...] | None = _setting(None, rules.tags, "TAGS")
    run_group: str | None = _setting(None, rules.text)
    run_job_type: str | None = _setting(None, rules.text, "JOB_TYPE")
    reinit: str = _setting("default", rules.one_of(*_REINIT, aliases=_REINIT_ALIASES))
    resume: str | None = _setting(
        None, rules.one_of("allow", "must", "never", "auto", aliases=_RESUME_ALIASES)
    )
    force: bool = _setting(False, rules.boolean)
    allow_val_change: bool = _setting(False, rules.boolean)
    save_code: bool | None = _setting(None, rules.boolean)
    program: str | None = _setting(None, rules.text)
    host: str | None = _setting(None, rules.text)
    # Where it goes.
    base_url: str | None = _setting(None, rules.url)
    api_key: str | None = _setting(None, rules.unspaced)
    root_dir: str | None = _setting(
        None, rules.folder, "TRACKD_ROOT_DIR", "WANDB_DIR", "WANDB_ROOT_DIR"
    )  # TRACKD_DIR is the data directory of agent and server
    ignore_globs: tuple[str, ...] = _setting((), rules.texts)
    symlink: bool = _setting(True, rules.boolean)
    # What the user sees.
    console: str = _setting("auto", rules.one_of(*_CONSOLE))
    quiet: bool = _setting(False, rules.boolean)
    silent: bool = _setting(False, rules.boolean)
    show_info: bool = _setting(True, rules.boolean)
    show_warnings: bool = _setting(True, rules.boolean)
    show_errors: bool = _setting(True, rules.boolean)
    strict: bool | None = _setting(None, rules.boolean)
    # How long things may take, in seconds.
    init_timeout: float = _setting(90.0, rules.at_least(0))
    finish_timeout: float = _setting(60.0, rules.at_least(0))
    finish_timeout_raises: bool = _setting(False, rules.boolean)
    summary_timeout: float = _setting(60.0, rules.at_least(0))
    log_max_block: float = _setting(1.0, rules.at_least(0))
    # The spool: this process's own copy of what is not yet in the agent's journal.
    spool_max_bytes: int = _setting(1 << 30, rules.at_least(1 << 22, rules.integer))
    spool_segment_bytes: int = _setting(1 << 20, rules.at_least(1 << 16, rules.integer))
    # Several processes, one run.
    x_label: str | None = _setting(None, rules.text)
    x_primary: bool = _setting(True, rules.boolean)
    x_update_finish_state: bool = _setting(True, rules.boolean)
    # What the agent acts on.
    x_disable_stats: bool = _setting(False, rules.boolean)
    x_disable_meta: bool = _setting(False, rules.boolean)
    x_file_stream_transmit_interval: float | None = _setting(None, rules.at_least(0))
    x_file_stream_max_bytes: int | None = _setting(None, rules.at_least(1, rules.integer))
    x_file_stream_max_line_bytes: int | None = _setting(None, rules.at_least(1, rules.integer))
    x_stats_sampling_interval: float = _setting(15.0, rules.sampling_interval)
    x_stats_pid: int | None = _setting(None, rules.integer)
    x_stats_disk_paths: tuple[str, ...] | None = _setting(("/",), rules.texts)
    x_stats_track_process_tree: bool = _setting(False, rules.boolean)
    #: Names that were set, as opposed to left at their default.
    _given: set[str] = field(default_factory=set[str], repr=False, compare=False)

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_given", set())
        for name, default in _DEFAULTS.items():
            object.__setattr__(self, name, default)
        self.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        name = _canonical(name)
        if value is not None:
            value = _RULES[name](name, value)
        elif _DEFAULTS[name] is not None:
            raise rules.fault(name, None, f"it needs a value; its default is {_DEFAULTS[name]!r}")
        object.__setattr__(self, name, value)
        self._given.add(name)

    def update(self, values: Mapping[str, Any] | Settings) -> None:
        """Take over values; `None` never overwrites.

        Raises:
            ValueError: an unknown name or a refused value.
        """
        if isinstance(values, Settings):
            values = values.given()
        for name, value in values.items():
            if value is not None:
                setattr(self, name, value)
            else:
                _canonical(name)

    def given(self) -> dict[str, Any]:
        """Return the values that were set, as opposed to left at their default."""
        return {name: getattr(self, name) for name in _DEFAULTS if name in self._given}

    def as_dict(self) -> dict[str, Any]:
        """Return all values by name."""
        return {name: getattr(self, name) for name in _DEFAULTS}

    def copy(self) -> Settings:
        """Return an independent copy."""
        return Settings(**self.given())


_SPECS = [spec for spec in fields(Settings) if "rule" in spec.metadata]
_RULES: dict[str, rules.Rule] = {spec.name: spec.metadata["rule"] for spec in _SPECS}
_DEFAULTS: dict[str, Any] = {spec.name: spec.default for spec in _SPECS}
_PREFIXES = ("TRACKD_", "WANDB_")
_ALIASES = {"x_primary_node": "x_primary"}


def _canonical(name: str) -> str:
    """Return the field that a name means.

    Raises:
        ValueError: there is none.
    """
    if name in _RULES:
        return name
    if name in _ALIASES:
        return _ALIASES[name]
    if name.startswith("_") and f"x{name}" in _RULES:
        return f"x{name}"
    import difflib  # only for the message

    near = difflib.get_close_matches(name, _RULES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see help(trackd.Settings) for the list"
    raise ValueError(f"setting {name!r} does not exist: {hint}")


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that environment variables set, by field name, as text.

    `TRACKD_*` wins over `WANDB_*`. Empty variables count as not set.
    """
    found: dict[str, Any] = {}
    for spec in _SPECS:
        for variable in _variables(spec.name, spec.metadata["env"]):
            if value := environ.get(variable):
                found[spec.name] = value.split(",") if spec.name == "run_tags" else value
                break
    return found


def _variables(name: str, special: tuple[str, ...]) -> list[str]:
    """Return the environment variables of a field, the winning one first."""
    suffixes = special or (name.upper(),)
    if name.startswith("x_"):
        suffixes += (name[1:].upper(),)
    if suffixes[0].startswith(_PREFIXES):
        return list(suffixes)
    return [prefix + suffix for prefix in _PREFIXES for suffix in suffixes]


def from_file(path: Path) -> dict[str, Any]:
    """Return the values of an INI settings file (section `[default]`); {} where there is none.

    Raises:
        ValueError: the file cannot be parsed or holds a refused value; all of it is to be ignored.
    """
    if not path.exists():
        return {}
    import configparser  # few have such files

    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(f"failed to load settings from {path}: {error}") from error
    values: dict[str, Any] = dict(parser["default"]) if parser.has_section("default") else {}
    try:
        Settings(**values)
    except Exception as error:
        raise ValueError(f"failed to load settings from {path}: {error}") from error
    return values


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings of the session, and what there is to say about how they came about."""

    settings: Settings
    files: list[Path]
    problems: list[str]


def load(explicit: Mapping[str, Any] | Settings | None = None) -> Loaded:
    """Return the settings of this process before `init` adds its own.

    Args:
        explicit: what `setup()` was given.

    Raises:
        ValueError: an environment variable or an explicit value is refused.
    """
    environ = os.environ
    settings = Settings()
    read: list[Path] = []
    problems: list[str] = []
    root = from_environment(environ).get("root_dir", ".")
    for path in (user_file(environ), Path(root) / "trackd" / "settings"):
        try:
            values = from_file(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        if values:
            settings.update(values)
            read.append(path)
    settings.update(from_environment(environ))
    if explicit is not None:
        settings.update(explicit)
    return Loaded(settings, read, problems)


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's settings file."""
    for variable in ("TRACKD_CONFIG_DIR", "WANDB_CONFIG_DIR"):
        if folder := environ.get(variable):
            return Path(folder).expanduser() / "settings"
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "trackd" / "settings"


def as_values(settings: Settings | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the `settings` argument of `init` sets."""
    if settings is None:
        return {}
    if isinstance(settings, Settings):
        return settings.given()
    return dict(settings)
