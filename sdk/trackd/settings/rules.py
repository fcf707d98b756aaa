"""What a setting may hold: parsing from text and validation, one small function a rule.

Every rule takes the field's name and the value, returns the value to store, and raises with a
message that names field, value and remedy. Text is read as environment variables and settings
files write it; a value of a wrong type is refused rather than guessed at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, cast

from trackd.errors import UsageError
from trackd.settings.moment import RunMoment

Rule = Callable[[str, Any], Any]

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})
_PROJECT_FORBIDDEN = "/\\#?%:"
_RUN_ID_FORBIDDEN = ":;,#?/'"
#: Of what stands in addresses.
_MAX_NAME_CHARACTERS = 128
#: An id is part of the name of the run's folder, which may have 255 bytes with mode and time.
_MAX_RUN_ID_BYTES = 200
_MAX_TAG_CHARACTERS = 64
_SHORTEST_SAMPLING_S = 0.1
_ENCODINGS = ("json", "typed")
#: What a record can hold.
_INTEGERS = range(-(2**63), 2**63)


def fault(name: str, value: object, remedy: str) -> ValueError:
    """Return the error for a refused value."""
    return ValueError(f"setting {name!r}: {_shown(value)} is not accepted: {remedy}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def boolean(name: str, value: Any) -> bool:
    """Accept True, False, 0, 1 and the usual words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (word := value.strip().lower()) in _TRUE | _FALSE:
        return word in _TRUE
    raise fault(name, value, "use true or false")


def text(name: str, value: Any) -> str:
    """Accept text."""
    if isinstance(value, str):
        return value
    raise fault(name, value, f"it is of type {type(value).__name__}: use a text")


def path(name: str, value: Any) -> str:
    """Accept text and paths."""
    return text(name, str(value) if isinstance(value, PurePath) else value)


def integer(name: str, value: Any) -> int:
    """Accept whole numbers of 64 bits."""
    try:
        if not isinstance(value, bool) and (isinstance(value, str) or int(value) == value):
            found = int(value)
            if found in _INTEGERS:
                return found
    except (TypeError, ValueError, OverflowError):
        pass  # said below, in the words of all settings
    raise fault(name, value, "use a whole number of at most 64 bits")


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


def one_of(*choices: str, aliases: Mapping[Any, Any] | None = None) -> Rule:
    """Return a rule for words of a fixed list.

    Args:
        choices: the words.
        aliases: other values that are accepted, and what they stand for.
    """

    def rule(name: str, value: Any) -> Any:
        if isinstance(value, str) and value in choices:
            return value
        try:
            return (aliases or {})[value]
        except (KeyError, TypeError):
            raise fault(name, value, f"use one of {', '.join(choices)}") from None

    return rule


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Accept a sequence of texts, or one text with commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        return tuple(text(name, part) for part in cast("Iterable[Any]", value))
    raise fault(name, cast("object", value), "use a list of texts")


def integers(name: str, value: Any) -> tuple[int, ...]:
    """Accept a sequence of whole numbers, or JSON text of one."""
    found: Any = (
        _from_json(name, value, "a list of whole numbers") if isinstance(value, str) else value
    )
    if isinstance(found, Iterable) and not isinstance(found, str | bytes | Mapping):
        return tuple(integer(name, part) for part in cast("Iterable[Any]", found))
    raise fault(name, value, "use a list of whole numbers")


def text_map(name: str, value: Any) -> dict[str, str]:
    """Accept a dictionary of texts, or JSON text of one."""
    found: Any = (
        _from_json(name, value, "a dictionary of texts") if isinstance(value, str) else value
    )
    if isinstance(found, Mapping):
        pairs = cast("Mapping[Any, Any]", found).items()
        if all(isinstance(part, str) for pair in pairs for part in pair):
            return dict(pairs)
    raise fault(name, value, "use a dictionary of texts or its JSON text")


def filters(name: str, value: Any) -> dict[str, dict[str, str]] | tuple[str, ...]:
    """Accept patterns of metrics: a list, or a dictionary with patterns of their labels."""
    found: Any = _from_json(name, value, "a list of patterns") if isinstance(value, str) else value
    if isinstance(found, Mapping):
        pairs = cast("Mapping[Any, Any]", found).items()
        mapping = {text(name, pattern): text_map(name, labels) for pattern, labels in pairs}
        for pattern, labels in mapping.items():
            _check_patterns(name, (pattern, *labels.values()))
        return mapping
    if isinstance(found, str):
        raise fault(name, value, "use a list of patterns")
    patterns = texts(name, found)
    _check_patterns(name, patterns)
    return patterns


def _check_patterns(name: str, patterns: Iterable[str]) -> None:
    import re  # few runs have any

    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            remedy = f"it is no regular expression ({error}); correct the pattern"
            raise fault(name, pattern, remedy) from None


def _from_json(name: str, value: str, wanted: str) -> Any:
    import json  # few settings are written so

    try:
        return json.loads(value)
    except ValueError as error:
        raise fault(name, value, f"use {wanted} or its JSON text ({error})") from None


def anything(name: str, value: Any) -> Any:
    """Accept every value."""
    del name
    return value


def function(name: str, value: Any) -> Callable[[], None]:
    """Accept what can be called."""
    if callable(value):
        return cast("Callable[[], None]", value)
    raise fault(name, value, "use a function without arguments")


def short_name(name: str, value: Any) -> str:
    """Accept text of at most 128 characters."""
    found = text(name, value)
    if len(found) > _MAX_NAME_CHARACTERS:
        raise UsageError(
            f"setting {name!r}: {found[:20]!r}… has {len(found)} characters: "
            f"use at most {_MAX_NAME_CHARACTERS}"
        )
    return found


def project(name: str, value: Any) -> str:
    """Accept a project name."""
    found = short_name(name, value)
    _forbid(name, found, _PROJECT_FORBIDDEN)
    return found


def identifier(name: str, value: Any) -> str:
    """Accept a text that is not empty and has no blanks at its ends."""
    found = text(name, value)
    if not found or found != found.strip():
        raise UsageError(
            f"setting {name!r}: {found!r} is empty or has a blank at an end: "
            "use a short text such as 'run-1'"
        )
    return found


def run_id(name: str, value: Any) -> str:
    """Accept a run id: at most 128 characters, and 200 bytes as UTF-8."""
    found = short_name(name, identifier(name, value))
    size = len(found.encode(errors="replace"))
    if size > _MAX_RUN_ID_BYTES:
        raise UsageError(
            f"setting {name!r}: {found[:20]!r}… has {size} bytes: "
            f"use at most {_MAX_RUN_ID_BYTES}, so that it can stand in the name of a folder"
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
    if not isinstance(value, Iterable):
        raise TypeError(f"setting {name!r}: {value!r} is no list of tags: use texts")
    found = (value,) if isinstance(value, str) else texts(name, value)
    faults = [tag for tag in found if not 1 <= len(tag) <= _MAX_TAG_CHARACTERS]
    if faults:
        shown = ", ".join(repr(tag if len(tag) <= 20 else tag[:17] + "...") for tag in faults)
        raise fault(
            name, list(found), f"the tags {shown} need 1 to {_MAX_TAG_CHARACTERS} characters"
        )
    return tuple(found)


def moment(name: str, value: Any) -> RunMoment:
    """Accept a step of a run: a `RunMoment`, or text such as `ans3bsax?_step=123`."""
    if isinstance(value, RunMoment):
        return value
    try:
        return RunMoment.parse(text(name, value))
    except ValueError as error:
        raise ValueError(f"setting {name!r}: {error}") from None


def url(name: str, value: Any) -> str:
    """Accept an http or https address; trailing slashes are removed."""
    found = text(name, value).strip()
    scheme, separator, rest = found.partition("://")
    is_address = scheme in ("http", "https") and separator and rest.strip("/ ")
    if not is_address or any(character.isspace() for character in rest):
        raise fault(name, value, "use an address such as http://127.0.0.1:8080")
    return found.rstrip("/")


def base_url(name: str, value: Any) -> str:
    """Accept the address of a server; the pages of hosted services are no such addresses."""
    found = url(name, value)
    scheme, _, rest = found.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0]
    if host == "wandb.ai" or host.endswith(".wandb.ai"):
        if not host.startswith("api."):
            raise fault(name, value, "that is a page for people: use https://api.wandb.ai")
        if scheme != "https":
            raise fault(name, value, "keys do not travel in the open: use https://api.wandb.ai")
    return found


def unspaced(name: str, value: Any) -> str:
    """Accept text without blanks at its ends. The value is a secret: it is never shown."""
    if not isinstance(value, str):
        raise ValueError(f"setting {name!r}: the value is no text: use one")  # noqa: TRY004
    if value != value.strip():
        raise UsageError(f"setting {name!r}: the value has a blank at an end: remove it")
    return value


def sampling_interval(name: str, value: Any) -> float:
    """Accept seconds of at least 0.1."""
    found = number(name, value)
    if not found >= _SHORTEST_SAMPLING_S:
        raise UsageError(f"setting {name!r}: {value!r} is too short: use at least 0.1 seconds")
    return found


def waiting_time(name: str, value: Any) -> float:
    """Accept seconds, not below 0."""
    found = number(name, value)
    if not found >= 0:
        raise UsageError(f"setting {name!r}: {value!r} is no waiting time: use 0 or more seconds")
    return found


def encoding(name: str, value: Any) -> str:
    """Accept forms of history values; unknown ones stand for the default."""
    forms = [form.strip().lower() for form in text(name, value).split(",")]
    if not set(forms) <= set(_ENCODINGS):
        return _ENCODINGS[0]
    if _ENCODINGS[0] not in forms:
        raise fault(name, value, "values are always written as JSON: use 'json' or 'json,typed'")
    return ",".join(forms)


def folder(name: str, value: Any) -> str:
    """Accept a path; `~` is expanded."""
    return os.path.expanduser(path(name, value))  # noqa: PTH111 - keeps a relative path as given
