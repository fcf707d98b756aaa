"""`trackd.login`: which server runs go to, and the key for it."""

from __future__ import annotations

import base64
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from trackd.account import keys
from trackd.errors import AuthenticationError, UsageError
from trackd.session import session
from trackd.settings import user_file
from trackd.settings.rules import base_url as address_rule
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from trackd.settings import Settings

_LEAST_KEY_CHARACTERS = 40
_VERIFY_TIMEOUT_S = 10.0
_VIEWER = "query Viewer { viewer { id username entity } }"
_REFUSED = (401, 403)


def login(  # noqa: PLR0913 - the signature of the reference
    key: str | None = None,
    relogin: bool | None = None,
    host: str | None = None,
    force: bool | None = None,
    timeout: float | None = None,
    verify: bool = True,
    referrer: str | None = None,
    prompt: bool = True,
    anonymous: Any = None,
) -> bool:
    """Say which server runs go to, and keep the key for it.

    Without a server nothing is needed: runs go to the agent's own one. A key that is given, or
    typed, is kept in a file that only this user can read, and never shown.

    Args:
        key: API key; default: the one of the settings, the one kept, or one that is asked for.
        relogin: ask for a key even if there is one.
        host: address of the server; noted in the user's settings file.
        force: do not go on in offline mode when nobody types a key.
        timeout: how long to wait for somebody to type a key, in seconds.
        verify: ask the server whether it takes the key.
        referrer: accepted, has no effect.
        prompt: ask for a key on the terminal; else return False where there is none.
        anonymous: accepted, has no effect.

    Returns:
        Whether runs can be uploaded now; False also with an open run, or offline.

    Raises:
        AuthenticationError: the key has a wrong form, or the server refuses it or cannot be asked.
        UsageError: there is no key, and no terminal to ask on.
        ValueError: `host` is no address.
    """
    del referrer
    settings = session().set_up()
    terminal = Terminal(settings)
    if anonymous is not None:
        terminal.warn("login(anonymous=...) has no effect: leave it out")
    if session().run is not None:
        terminal.warn("login() after init() has no effect: call it before")
        return False
    if settings.mode in ("disabled", "offline"):
        if settings.mode == "offline":
            terminal.warn("login() does nothing in offline mode")
        return False
    address = address_rule("host", host) if host else settings.base_url
    if key:
        _check_form(key)
    if not address:
        terminal.info(
            "runs go to the agent's own server, which needs no login; host= names another"
        )
        return True
    return _log_in(
        _Login(address, settings, terminal, relogin=relogin, force=force, timeout_s=timeout),
        key,
        verify=verify,
        prompt=prompt,
        note_host=bool(host),
    )


class _Login:
    """One login at one server."""

    def __init__(
        self,
        address: str,
        settings: Settings,
        terminal: Terminal,
        *,
        relogin: bool | None,
        force: bool | None,
        timeout_s: float | None,
    ) -> None:
        self.address = address
        self.settings = settings
        self.terminal = terminal
        self.asks_anyway = settings.relogin if relogin is None else relogin
        self.is_forced = settings.force if force is None else force
        self.timeout_s = settings.login_timeout if timeout_s is None else timeout_s

    def find_key(self) -> str:
        """Return the key that is known already; empty: there is none."""
        if self.asks_anyway:
            return ""
        same_server = self.address == self.settings.base_url
        return (self.settings.api_key if same_server else "") or keys.find(self.address)[0]

    def ask_for_key(self) -> str:
        """Return what somebody types; empty: nothing, and the session is offline now.

        Raises:
            UsageError: there is no terminal, or a key is needed and none was typed.
            AuthenticationError: what was typed has not the form of a key.
        """
        if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
            raise UsageError(
                f"no API key for {self.address}: set TRACKD_API_KEY, or run `trackd login`"
            )
        from trackd.account.prompting import ask_secret

        try:
            typed = ask_secret(f"trackd: API key for {self.address}: ", self.timeout_s)
        except TimeoutError:
            self.terminal.warn("nobody typed an API key in time: runs are disabled")
            self.settings.mode = "disabled"
            return ""
        if typed:
            _check_form(typed)
        elif self.is_forced:
            raise UsageError(
                f"no API key for {self.address} was typed: login(force=True) needs one"
            )
        else:
            self.terminal.info("no API key was typed: runs stay offline")
            self.settings.mode = "offline"
        return typed


def _log_in(
    attempt: _Login, key: str | None, *, verify: bool, prompt: bool, note_host: bool
) -> bool:
    found = key or attempt.find_key()
    typed = ""
    if not found and not prompt:
        return False
    if not found:
        found = typed = attempt.ask_for_key()
    if found and verify:
        _verify(attempt.address, found, attempt.settings)
    if found:
        given = {"base_url": attempt.address, "api_key": found}
        session().store.loaded().take(given, "login()")
        attempt.terminal.info(f"the API key for {attempt.address} is configured")
    try:
        if found and (key or typed):
            keys.keep(attempt.address, found)
        if note_host:
            _note_host(attempt.address)
    except OSError as error:
        attempt.terminal.warn(f"login is for this session only: {error}")
    return bool(found)


def _check_form(key: str) -> None:
    """Refuse what cannot be a key, without showing it.

    Raises:
        AuthenticationError: it is too short, or holds other characters.
    """
    if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", key):  # a token of three parts
        return
    secret = key.partition("-")[2] or key
    if not re.fullmatch(r"[\w-]+", secret):
        raise AuthenticationError("an API key holds letters, digits, dashes and underscores only")
    if len(secret) < _LEAST_KEY_CHARACTERS:
        raise AuthenticationError(
            f"an API key has at least {_LEAST_KEY_CHARACTERS} characters, this one {len(secret)}"
        )


def _verify(address: str, key: str, settings: Settings) -> None:
    """Ask the server whether it takes a key.

    Raises:
        AuthenticationError: it does not, or it cannot be asked.
    """
    import ssl
    import urllib.error
    import urllib.request

    token = base64.b64encode(f"api:{key}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the rule for addresses allows http(s) only
        f"{address}/graphql",
        data=json.dumps({"query": _VIEWER}).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {token}",
            **(settings.x_extra_http_headers or {}),
        },
    )
    context = ssl.create_default_context()
    if settings.insecure_disable_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    given = {scheme: proxy for scheme, proxy in proxies.items() if proxy}
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context),
        *([urllib.request.ProxyHandler(given)] if given else []),
    )
    try:
        with opener.open(request, timeout=_VERIFY_TIMEOUT_S) as answer:
            viewer = json.load(answer)["data"]["viewer"]
    except urllib.error.HTTPError as error:
        why = "refuses the API key" if error.code in _REFUSED else f"answers {error.code}"
        raise AuthenticationError(f"{address} {why}: check key and address") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuthenticationError(
            f"{address} cannot be asked about the API key ({error}); verify=False skips that"
        ) from error
    if not viewer:
        raise AuthenticationError(f"{address} does not know the API key: check key and address")


def _note_host(address: str) -> None:
    """Write the server's address to the user's settings file."""
    import configparser
    import os

    path = user_file(os.environ)
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise OSError(f"{path} cannot be read: {error}") from error
    if not parser.has_section("default"):
        parser.add_section("default")
    parser.set("default", "base_url", address)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)
