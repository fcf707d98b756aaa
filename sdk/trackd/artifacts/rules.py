"""What names, types, aliases, tags, metadata and lifetimes of artifacts may be."""

from __future__ import annotations

import base64
import enum
import json
import re
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trackd.recording.values import to_config

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME_CHARACTERS = 128
MAX_METADATA_KEYS = 100
_NAME = re.compile(r"[a-zA-Z0-9_\-.]+")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_\-.]+")
_TAG = re.compile(r"[-\w]+( +[-\w]+)*")
#: Names that start so are ours for artifacts of the type.
_RESERVED_NAMES = {"job": "", "run_table": "run-", "code": "source-"}
_RESERVED_TYPES = "wandb-"


class ArtifactTTL(enum.Enum):
    """Lifetimes that are no duration."""

    #: What the team says.
    INHERIT = 0


def checked_name(name: str) -> str:
    """Return the name of an artifact.

    Raises:
        TypeError: it is no text.
        ValueError: it has other characters than letters, digits, `_-.`, or too many.
    """
    _require_text("artifact name", name)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"artifact name {name!r}: only letters, digits, '_', '-' and '.' may be in it"
        )
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(
            f"artifact name {name[:40]!r}... has {len(name)} characters: "
            f"at most {MAX_NAME_CHARACTERS} are allowed"
        )
    return name


def _require_text(what: str, given: object) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{what} {given!r}: must be a text, not {type(given).__name__}")
    return given


def own_name(name: str) -> str:
    """Return a name made from any text, unique by a hash where the text had to be changed."""
    clean = _NOT_IN_A_NAME.sub("", name)
    if clean == name and len(name) <= MAX_NAME_CHARACTERS:
        return name
    crc = zlib.crc32(name.encode(errors="surrogatepass")).to_bytes(4, "big")
    suffix = base64.urlsafe_b64encode(crc).rstrip(b"=").decode()
    return f"{clean[: MAX_NAME_CHARACTERS - 1 - len(suffix)]}-{suffix}"


def checked_type(type_: str, name: str) -> str:
    """Return the type of an artifact.

    Raises:
        AttributeError: it is no text; of this class since scripts know it from the reference.
        TypeError: it is bytes or a collection; likewise.
        ValueError: artifacts of this type (and name) are made by the recorder alone.
    """
    if not isinstance(type_, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
        refusal = TypeError if isinstance(type_, bytes | list | dict | set) else AttributeError
        raise refusal(f"artifact type {type_!r}: must be a text, not {type(type_).__name__}")
    reserved = _RESERVED_NAMES.get(type_)
    if type_.startswith(_RESERVED_TYPES) or (reserved is not None and name.startswith(reserved)):
        raise ValueError(
            f"artifact type {type_!r} with name {name!r} is reserved: choose another type"
        )
    return type_


def checked_some(what: str, given: Iterable[str] | str | None) -> Iterable[str] | str:
    """Return what was given for aliases or tags.

    Raises:
        TypeError: it is None, which could mean none as well as no change.
    """
    if given is None:
        raise TypeError(f"{what} None: give a list, [] for none")
    return given


def check_text(what: str, value: object) -> None:
    """Refuse what is neither text nor None.

    Raises:
        TypeError: it is of another type.
    """
    if not isinstance(value, str | None):
        raise TypeError(f"{what}={value!r} is of type {type(value).__name__}: give a text, or None")


def checked_aliases(aliases: Iterable[str] | str | None) -> list[str]:
    """Return the aliases of a new version: those given, each once, and `latest`.

    Raises:
        ValueError: one has a `/` or `:`.
        TypeError: they are no list of texts.
    """
    return list(dict.fromkeys([*checked_alias_names(aliases), "latest"]))


def checked_alias_names(aliases: Iterable[str] | str | None) -> list[str]:
    """Return aliases as they were given.

    Raises:
        ValueError: one has a `/` or `:`.
        TypeError: they are no list of texts.
    """
    given: list[object] = [aliases] if isinstance(aliases, str) else list(aliases or ())
    checked = list[str]()
    for alias in given:
        text = _require_text("alias", alias)
        if "/" in text or ":" in text:
            raise ValueError(f"alias {alias!r}: must not contain '/' or ':'")
        checked.append(text)
    return checked


def checked_tags(tags: Iterable[str] | str | None) -> list[str]:
    """Return the tags of a version, each once.

    Raises:
        TypeError: one is no text.
        ValueError: one has other characters than letters, digits, `-`, `_` and inner blanks.
    """
    given = [tags] if isinstance(tags, str) else list(tags or ())
    for tag in given:
        _require_text("tag", tag)
        if not _TAG.fullmatch(tag):
            raise ValueError(
                f"tag {tag!r}: only letters, digits, '-', '_' and blanks between them are allowed"
            )
    return list(dict.fromkeys(given))


def checked_metadata(metadata: Any) -> dict[str, Any]:
    """Return a plain copy of metadata.

    Args:
        metadata: a dictionary, JSON text of one, or None.

    Raises:
        TypeError: it is something else, or holds what JSON cannot.
        ValueError: more than 100 keys at the top, an infinite number, or a text that is no UTF-8.
    """
    if metadata is None or metadata == "":
        return {}
    while isinstance(metadata, str):
        metadata = _parsed(metadata)
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata must be a dictionary, got {type(metadata).__name__}")
    simple = to_config(metadata)
    try:
        text = json.dumps(simple, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        refused = "metadata holds an infinite number, which JSON does not know: leave it out"
        raise ValueError(f"{refused} ({error})") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        refused = f"metadata holds text that is not valid UTF-8: {error.object[error.start]!r}"
        raise ValueError(f"{refused}: decode it, or leave it out") from None
    plain = json.loads(text)
    if len(plain) > MAX_METADATA_KEYS:
        raise ValueError(
            f"metadata has {len(plain)} keys: at most {MAX_METADATA_KEYS} are allowed at the top; "
            "nest them"
        )
    return plain


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"metadata {text[:40]!r} is no JSON: {error}") from error


def checked_ttl_seconds(ttl: object) -> int:
    """Return a lifetime in whole seconds.

    Raises:
        ValueError: it is not positive.
        AttributeError: it is no duration; of this class since scripts know it from the reference.
    """
    if not isinstance(ttl, timedelta):
        kinds = "a datetime.timedelta, None or ArtifactTTL.INHERIT"
        raise AttributeError(f"ttl {ttl!r}: give {kinds}")  # noqa: TRY004 - see above
    if ttl <= timedelta(0):
        raise ValueError(f"ttl must be positive, got {ttl.total_seconds():g} s; None: no end")
    return int(ttl.total_seconds())
