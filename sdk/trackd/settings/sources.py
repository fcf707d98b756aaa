"""Where settings come from: files, environment, `setup`; what wins, and what each one said."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd.identity import working_folder
from trackd.settings.model import FIELDS, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.settings.field import Field

#: Prefixes of environment variables, and names of our folders, from weakest to strongest.
_PREFIXES = ("WANDB_", "TRACKD_")
_PRODUCTS = ("wandb", "trackd")
#: So much alike (1: equal) a variable is to one that it was meant to be; the agent's are not.
_ALIKE = 0.85
#: Text of these is a list with commas where an environment variable or a file sets them.
_LISTS = frozenset({"run_tags", "ignore_globs"})
#: What a settings file must not say: it is what tells where the files are.
_NOT_IN_FILES = frozenset({"settings_system", "root_dir"})


class Loaded:
    """Settings of the session, and what there is to say about how they came about.

    Attributes:
        settings: the values in force.
        files: settings files that were read.
        problems: files that were not, and why.
        sources: where each given value comes from, by name of the field.
        environ: the variables that were read.
    """

    __slots__ = ("environ", "files", "problems", "settings", "sources")

    def __init__(self) -> None:
        self.settings = Settings()
        self.files: list[Path] = []
        self.problems: list[str] = []
        self.sources: dict[str, str] = {}
        self.environ: dict[str, str] = {}

    def take(self, values: Mapping[str, Any], source: str) -> None:
        """Let values win over what there is.

        Raises:
            ValueError: one is refused.
        """
        self.settings.update(values)
        names = (name for name, value in values.items() if value is not None)
        self.sources.update(dict.fromkeys(names, source))

    def changed_variables(self, environ: Mapping[str, str]) -> list[str]:
        """Return the variables that set something and were changed since they were read."""
        now = variables_in(environ)
        names = self.environ.keys() | now.keys()
        return sorted(name for name in names if self.environ.get(name) != now.get(name))


def load(explicit: Mapping[str, Any] | Settings | None = None) -> Loaded:
    """Return the settings of this process before `init` adds its own.

    Args:
        explicit: what `setup()` was given.

    Raises:
        ValueError: an environment variable or an explicit value is refused.
    """
    environ = os.environ
    given = as_values(explicit)
    loaded = Loaded()
    own_file = given.get("settings_system")
    for path in (*([Path(own_file)] if own_file else user_files(environ)), *_workspace_files()):
        _take_file(loaded, path)
    loaded.environ = variables_in(environ)
    for name, (variable, value) in _by_field(loaded.environ).items():
        loaded.take({name: value}, f"environment: {variable}")
    loaded.take(given, "setup()")
    if "settings_system" not in loaded.sources:
        loaded.settings.settings_system = str(user_file(environ))
    if "root_dir" not in loaded.sources:  # runs stay together when the program changes folders
        loaded.settings.root_dir = str(working_folder())
    return loaded


def _take_file(loaded: Loaded, path: Path) -> None:
    try:
        values = from_file(path)
        for name in sorted(values.keys() & _NOT_IN_FILES):
            del values[name]
            loaded.problems.append(f"{path}: {name!r} cannot be set in a settings file (ignored)")
        if values:
            loaded.take(Settings(**values).given(), f"file: {path}")
            loaded.files.append(path)
    except Exception as error:  # noqa: BLE001 - UsageError and ValueError alike: told, not raised
        loaded.problems.append(f"failed to load settings from {path}: {error}")


def from_file(path: Path) -> dict[str, Any]:
    """Return the values of an INI settings file (section `[default]`); {} where there is none.

    Raises:
        ValueError: the file cannot be parsed.
    """
    if not os.path.exists(path):  # noqa: PTH110 - no error for a folder that may not be read
        return {}
    import configparser  # few have such files

    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(str(error)) from error
    if not parser.has_section("default"):
        return {}
    return {
        name: _split(name, value, {"ignore_globs"}) for name, value in parser["default"].items()
    }


def variables_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set a field, with their values. Empty ones count as not set."""
    known = _variables()
    return {name: environ[name] for name in environ if name in known and environ[name]}


def misspelt_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables of ours that set nothing, and the one that each was probably meant to be."""
    from difflib import get_close_matches  # `init` has no use for it

    known = [name for name in _variables() if name.startswith(_PREFIXES[-1])]
    odd = [name for name in environ if name.startswith(_PREFIXES[-1]) and name not in known]
    alike = {name: get_close_matches(name, known, 1, _ALIKE) for name in odd}
    return {name: found[0] for name, found in alike.items() if found}


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that environment variables set, by field name, as text.

    `TRACKD_*` wins over `WANDB_*`.
    """
    return {name: value for name, (_, value) in _by_field(variables_in(environ)).items()}


def _by_field(variables: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return, by field, the variable that wins and its value."""
    known = _variables()
    found: dict[str, tuple[int, str, Any]] = {}
    for variable, text in variables.items():
        rank, name = known[variable]
        if name not in found or rank < found[name][0]:
            found[name] = (rank, variable, _split(name, text, _LISTS))
    return {name: (variable, value) for name, (_, variable, value) in found.items()}


@functools.cache
def _variables() -> dict[str, tuple[int, str]]:
    """Return rank and field of each environment variable; the lower rank wins."""
    return {
        variable: (rank, name)
        for name, field in FIELDS.items()
        for rank, variable in enumerate(_names_of(field))
    }


def _names_of(field: Field) -> tuple[str, ...]:
    """Return the environment variables of a field, the winning one first."""
    if field.env and field.env[0].startswith(_PREFIXES):
        return field.env
    name = field.name
    endings = (*field.env, name.upper(), *([name[1:].upper()] if name.startswith("x_") else ()))
    return tuple(prefix + ending for prefix in reversed(_PREFIXES) for ending in endings)


def _split(name: str, text: str, lists: set[str] | frozenset[str]) -> Any:
    return text.split(",") if name in lists else text


def user_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the user's settings files, the weakest first: wandb's, then ours."""
    theirs = environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb"
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    named = environ.get("TRACKD_CONFIG_DIR") or environ.get("WANDB_CONFIG_DIR")
    folders = dict.fromkeys((theirs, named or f"{base}/trackd"))
    # Not `Path.expanduser`, which raises for a user without a home.
    return [Path(os.path.expanduser(folder)) / "settings" for folder in folders]  # noqa: PTH111


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the user's settings file that `login` writes to."""
    return user_files(environ)[-1]


def _workspace_files() -> list[Path]:
    """Return the settings files of the current folder, the weakest first."""
    found: list[Path] = []
    for product in _PRODUCTS:
        hidden = Path(f".{product}")
        is_hidden = os.path.exists(hidden)  # noqa: PTH110 - `Path`'s own raises where it may not look
        found.append((hidden if is_hidden else Path(product)) / "settings")
    return found


def as_values(settings: Settings | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the `settings` argument of `init` or `setup` sets.

    Raises:
        ValueError: a name is unknown or a value is refused.
    """
    if settings is None:
        return {}
    if isinstance(settings, Settings):
        return settings.given()
    return Settings(**settings).given()
