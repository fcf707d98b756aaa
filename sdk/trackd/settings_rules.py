"""What a setting may hold: parsing from text and validation, one small function a rule.

Every rule takes the field's name and the value, returns the value to store, and raises with a
message that names field, value and remedy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from trackd.errors import UsageError

Rule = Callable[[str, Any], Any]

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f", ""})
_PROJECT_FORBIDDEN = "/\\#?%:"
_RUN_ID_FORBIDDEN = ":;,#?/'"
_MAX_PROJECT_CHARACTERS = 128
_MAX_TAG_CHARACTERS = 64


def fault(name: str, value: object, remedy: str) -> ValueError:
    """Return the error for a refused value."""
    return ValueError(f"setting {name!r}: {value!r} is not accepted: {remedy}")


def boolean(name: str, value: Any) -> bool:
    """Accept True, False, 0, 1 and the usual words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    word = str(value).strip().lower()
    if isinstance(value, str) and word in _TRUE | _FALSE:
        return word in _TRUE
    raise fault(name, value, "use true or false")


def text(name: str, value: Any) -> str:
    """Accept text and paths."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise fault(name, value, "use a text")


def integer(name: str, value: Any) -> int:
    """Accept whole numbers."""
    try:
        if not isinstance(value, bool) and (isinstance(value, str) or int(value) == value):
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass  # said below, in the words of all settings
    raise fault(name, value, "use a whole number")


def number(name: str, value: Any) -> float:
    """Accept numbers."""
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass  # said below, in the words of all settings
    raise fault(name, value, "use a number")


def at_least(minimum: float, convert: Rule = number) -> Rule:
    """Return a rule for numbers with a lower bound."""

    def rule(name: str, value: Any) -> Any:
        result = convert(name, value)
        if not result >= minimum:
            raise fault(name, value, f"use a number of at least {minimum:g}")
        return result

    return rule


def one_of(*choices: str, aliases: dict[str, str] | None = None) -> Rule:
    """Return a rule for words of a fixed list."""

    def rule(name: str, value: Any) -> str:
        word = str(value).lower() if isinstance(value, str) else value
        word = (aliases or {}).get(cast("str", word), word)
        if word not in choices:
            raise fault(name, value, f"use one of {', '.join(choices)}")
        return word

    return rule


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Accept a sequence of texts, or one text with commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, Iterable):
        return tuple(text(name, part) for part in cast("Iterable[Any]", value))
    raise fault(name, value, "use a list of texts")


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Accept a dictionary, or JSON text of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise fault(name, value, "use a dictionary or its JSON text") from None
    if not isinstance(value, dict):
        raise fault(name, value, "use a dictionary or its JSON text")
    return cast("dict[str, Any]", value)


def anything(name: str, value: Any) -> Any:
    """Accept every value."""
    del name
    return value


def project(name: str, value: Any) -> str:
    """Accept a project name."""
    found = text(name, value)
    if len(found) > _MAX_PROJECT_CHARACTERS:
        raise UsageError(
            f"setting {name!r}: a project name of {len(found)} characters is too long: "
            f"use at most {_MAX_PROJECT_CHARACTERS}"
        )
    _forbid(name, found, _PROJECT_FORBIDDEN)
    return found


def run_id(name: str, value: Any) -> str:
    """Accept a run id."""
    found = text(name, value)
    if not found or found != found.strip():
        raise UsageError(
            f"setting {name!r}: {found!r} is empty or has a blank at an end: "
            "use a short text such as 'run-1'"
        )
    _forbid(name, found, _RUN_ID_FORBIDDEN)
    return found


def _forbid(name: str, found: str, characters: str) -> None:
    bad = sorted(set(found) & set(characters))
    bad += sorted({character for character in found if ord(character) < 32})
    if bad:
        raise UsageError(
            f"setting {name!r}: {found!r} contains {' '.join(map(repr, bad))}: "
            f"leave out the characters {' '.join(characters)} and control characters"
        )


def tags(name: str, value: Any) -> tuple[str, ...]:
    """Accept a sequence of tags; one text is one tag."""
    found = (value,) if isinstance(value, str) else texts(name, value)
    faults = [tag for tag in found if not 1 <= len(tag) <= _MAX_TAG_CHARACTERS]
    if faults:
        shown = ", ".join(repr(tag if len(tag) <= 20 else tag[:17] + "...") for tag in faults)
        raise fault(
            name, list(found), f"the tags {shown} need 1 to {_MAX_TAG_CHARACTERS} characters"
        )
    return tuple(found)


def url(name: str, value: Any) -> str:
    """Accept an http or https address; trailing slashes are removed."""
    found = text(name, value).strip()
    scheme, separator, rest = found.partition("://")
    if scheme not in ("http", "https") or not separator or not rest.strip("/ "):
        raise fault(name, value, "use an address such as http://127.0.0.1:8080")
    return found.rstrip("/")


def unspaced(name: str, value: Any) -> str:
    """Accept text without blanks at its ends. The value is a secret: it is never shown."""
    found = text(name, value)
    if found != found.strip():
        raise ValueError(f"setting {name!r}: the value has a blank at an end: remove it")
    return found


def sampling_interval(name: str, value: Any) -> float:
    """Accept seconds of at least 0.1."""
    found = number(name, value)
    if not found >= 0.1:
        raise UsageError(f"setting {name!r}: {value!r} is too short: use at least 0.1 seconds")
    return found


def folder(name: str, value: Any) -> str:
    """Accept a path; `~` is expanded."""
    return os.path.expanduser(text(name, value))  # noqa: PTH111 - keeps a relative path as given
