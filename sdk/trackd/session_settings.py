"""Settings of this process: read once, told about, and completed for each run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from trackd import settings as settings_module
from trackd.settings import FIELDS, Settings
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Collection

    from trackd.configuration import FirstConfig
    from trackd.settings import Loaded

#: What a sweep or a launcher decides, whatever the script says.
_DECIDED_ELSEWHERE = ("project", "entity", "run_id")
#: Modes in which nothing is uploaded.
_WITHOUT_SERVER = ("offline", "disabled")


class SessionSettings:
    """Files, environment and `setup`, read once; `init` adds its own for one run."""

    def __init__(self) -> None:
        self._loaded: Loaded | None = None
        self._said: set[str] = set()

    def loaded(self, explicit: Mapping[str, Any] | Settings | None = None) -> Loaded:
        """Return the settings of the session, read at the first call, with explicit ones added.

        Raises:
            ValueError: an environment variable or an explicit value is refused.
            UsageError: likewise.
        """
        if self._loaded is None:
            loaded = settings_module.load(explicit)
            terminal = Terminal(loaded.settings)
            for problem in loaded.problems:
                terminal.error(problem)
            if loaded.files:
                terminal.info(f"loading settings from {', '.join(map(str, loaded.files))}")
            self._loaded = loaded
        elif explicit is not None:
            self._loaded.take(settings_module.as_values(explicit), "setup()")
        return self._loaded

    def forget(self) -> None:
        """Read everything anew at the next `init`."""
        self._loaded = None

    def complain(self, text: str) -> None:
        """Print an error, unless nothing was set up yet."""
        if self._loaded is not None:
            Terminal(self._loaded.settings).error(text)

    def for_run(
        self, given: Settings | Mapping[str, Any] | None, arguments: Mapping[str, Any]
    ) -> Settings:
        """Return the settings of one run.

        Args:
            given: the `settings` argument of `init`; an object is changed in place, as scripts
                for wandb expect.
            arguments: other arguments of `init`, by field; they win.

        Raises:
            ValueError: a value is refused.
            UsageError: a value is refused.
            TypeError: `given` is neither settings nor a dictionary.
        """
        own = given if isinstance(given, Settings) else _settings_of(given)
        for name, value in arguments.items():
            if value is not None:
                setattr(own, name, value)
        loaded = self.loaded()
        settings, values = loaded.settings.copy(), own.given()
        ignored = _take_away(values, loaded.settings)
        settings.update(values)
        terminal = Terminal(settings)
        for warning in ignored:
            terminal.warn(warning)
        if changed := loaded.changed_variables(os.environ):
            terminal.warn(
                f"changed environment variables are ignored ({', '.join(changed)}): settings are "
                "read once a session; use arguments of init(), or call teardown() first"
            )
        for warning in _deprecations(settings):
            self._warn_once(terminal, warning)
        if settings.base_url and settings.mode not in _WITHOUT_SERVER:
            _find_key(settings, terminal)
        return settings

    def first_config(
        self,
        config: Any,
        settings: Settings,
        exclude: Collection[str] | None,
        include: Collection[str] | None,
    ) -> FirstConfig:
        """Return the configuration that a run starts with.

        Args:
            config: argument of `init`.
            settings: of the run.
            exclude: names to leave out of it; deprecated.
            include: names to keep of it; deprecated.

        Raises:
            UsageError: both are given.
            ConfigError: a file is missing or cannot be read.
            TypeError: a value has no place in a configuration, or a file has another form.
            KeyError: an entry of a file has no `value`.
        """
        from trackd import configuration  # loads what values need, at the first run only

        terminal = Terminal(settings)
        for name, keys in (("exclude", exclude), ("include", include)):
            if keys:
                self._warn_once(
                    terminal,
                    f"config_{name}_keys is deprecated: use "
                    f"config=trackd.helper.parse_config(config, {name}=(...))",
                )
        values = configuration.parse_config(config or {}, exclude, include)
        return configuration.first_config(values, self.loaded().settings, terminal.warn)

    def _warn_once(self, terminal: Terminal, warning: str) -> None:
        if warning not in self._said:
            self._said.add(warning)
            terminal.warn(warning)


def chosen_reinit(reinit: str | bool) -> str:
    """Return what a second `init` does; by default notebooks start anew."""
    if reinit == "default":
        from trackd.lifecycle import notebooks

        reinit = notebooks.in_notebook()
    if isinstance(reinit, str):
        return reinit
    return "finish_previous" if reinit else "return_previous"


def _find_key(settings: Settings, terminal: Terminal) -> None:
    """Complete the key for the server, or say that there is none."""
    if settings.api_key:
        return
    from trackd.account import keys  # only where somebody named a server

    address = str(settings.base_url)
    settings.api_key = keys.find(address)[0] or None
    if settings.api_key is None:
        terminal.warn(
            f"there is no API key for {address}: everything is kept on this node and uploaded "
            "once there is one; run `trackd login`, or set TRACKD_API_KEY"
        )


def _settings_of(given: object) -> Settings:
    if given is None:
        return Settings()
    if not isinstance(given, Mapping):
        raise TypeError(f"settings={given!r}: use trackd.Settings(...) or a dictionary")
    return Settings(**cast("Mapping[str, Any]", given))


def _take_away(values: dict[str, Any], session: Settings) -> list[str]:
    """Remove what a sweep or a launcher decides; return what to say about it."""
    if not session.sweep_id and not session.launch:
        return []
    context = "when running a sweep" if session.sweep_id else "when started by a launcher"
    removed = {name: values.pop(name, None) for name in _DECIDED_ELSEWHERE}
    return [f"{n}={value!r} is ignored {context}" for n, value in removed.items() if value]


def _deprecations(settings: Settings) -> list[str]:
    found = [
        f"setting {name!r} is deprecated: {FIELDS[name].deprecated}"
        for name, value in settings.given().items()
        if FIELDS[name].deprecated and value is not None
    ]
    if isinstance(settings.reinit, bool):
        instead = "finish_previous" if settings.reinit else "return_previous"
        found.append(f"reinit={settings.reinit} is deprecated: use reinit={instead!r}")
    return found
