"""Which names are accepted, and the ids that clients see."""

from __future__ import annotations

import base64
import binascii
import random

from trackd_server.domain.errors import InvalidRequest

#: Used wherever a request names no entity.
DEFAULT_ENTITY = "local"
#: What W&B calls the project of runs that name none.
DEFAULT_PROJECT = "uncategorized"
MAX_NAME_CHARS = 128
MAX_FILE_NAME_BYTES = 1_024
#: Digits of a number that holds the bytes of a name.
_MAX_ENTITY_DIGITS = 1_300
#: They would make the addresses of a run ambiguous.
_FORBIDDEN = frozenset("/\\#?%:")

_ADJECTIVES = """
amber ancient brisk calm clear cosmic crimson daring eager early fancy fearless gentle golden good
graceful happy hearty honest jolly keen lively lucky mellow mild misty noble olive pretty quiet
rare rosy royal ruby serene silver smooth snowy solar stellar sunny swift vivid warm wise
"""
_NOUNS = """
aspen breeze brook butterfly canyon cloud comet cosmos darkness dawn dew dragon dream eagle etude
feather field fire flower fog forest frog galaxy glade grass haze hill lake leaf meadow moon
morning mountain night oath pine planet plant pond puddle rain river sea shadow shape sky smoke
snow sound star sun sunset surf thunder tree valley violet voice water wave wildflower wind wood
"""


def entity(name: str | None) -> str:
    """Return the entity that a request means."""
    return checked("entity", name) if name else DEFAULT_ENTITY


def project(name: str | None) -> str:
    """Return the project that a request means."""
    return checked("project", name) if name else DEFAULT_PROJECT


def checked(field: str, name: str) -> str:
    """Return `name` if it can stand in an address, else refuse it by field and reason."""
    reason = ""
    if not name or len(name) > MAX_NAME_CHARS:
        reason = f"it must have 1 to {MAX_NAME_CHARS} characters"
    elif bad := next((c for c in name if c in _FORBIDDEN or _is_unprintable(c)), None):
        reason = f"it must not contain {bad!r}"
    elif name.strip(".") == "":
        reason = "it must not consist of dots"
    if reason:
        raise InvalidRequest(f"Invalid {field} name {name[:200]!r}: {reason}; choose another name.")
    return name


def file_name(name: str) -> str:
    """Return the name of a run file if it is a plain relative path, else refuse it."""
    reason = ""
    if not name or len(name.encode(errors="replace")) > MAX_FILE_NAME_BYTES:
        reason = f"it must have 1 to {MAX_FILE_NAME_BYTES} bytes"
    elif bad := next((c for c in name if _is_unprintable(c)), None):
        reason = f"it must not contain {bad!r}"
    elif any(part in ("", ".", "..") for part in name.split("/")):
        reason = "it must be a relative path without empty parts, '.' and '..'"
    if reason:
        raise InvalidRequest(f"Invalid file name {name[:200]!r}: {reason}.")
    return name


def printable(text: str) -> str:
    """Return a text without what no name holds."""
    return "".join(char for char in text if not _is_unprintable(char))


def _is_unprintable(char: str) -> bool:
    return ord(char) < 0x20 or ord(char) == 0x7F or 0xD800 <= ord(char) < 0xE000


def storage_id(kind: str, number: int) -> str:
    """Return the opaque id of a row, as clients pass it back."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def opaque_id(kind: str, name: str) -> str:
    """Return the opaque id of something that has a name and no row."""
    return base64.b64encode(f"{kind}:{name}".encode()).decode()


def is_kind(kind: str, opaque: str) -> bool:
    """Tell whether an id was made for a row of this kind."""
    try:
        row_number(kind, opaque)
    except InvalidRequest:
        return False
    return True


def row_number(kind: str, opaque: str) -> int:
    """Return the number behind an id made by `storage_id`."""
    try:
        text = base64.b64decode(opaque, validate=True).decode()
        found, _, number = text.partition(":")
        if found == kind and number.isdecimal() and len(number) < 19:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequest(f"Invalid {kind} id {opaque[:100]!r}: it was not made by this server.")


def entity_id(name: str) -> str:
    """Return the opaque id of an entity: entities are names, so the id holds the name.

    As a number, because W&B's client takes ids of users and teams apart.
    """
    return base64.b64encode(b"Entity:%d" % int.from_bytes(name.encode())).decode()


def entity_of_id(opaque: str) -> str:
    """Return the name behind an id made by `entity_id`."""
    try:
        kind, _, digits = base64.b64decode(opaque, validate=True).decode().partition(":")
        if kind == "Entity" and digits.isdecimal() and len(digits) < _MAX_ENTITY_DIGITS:
            number = int(digits)
            return checked("entity", number.to_bytes((number.bit_length() + 7) // 8).decode())
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequest(f"Invalid entity id {opaque[:100]!r}: it was not made by this server.")


def display_name(count: int) -> str:
    """Return a made-up readable name for the `count`-th run of a project."""
    adjective, noun = (random.choice(words.split()) for words in (_ADJECTIVES, _NOUNS))  # noqa: S311
    return f"{adjective}-{noun}-{count}"
