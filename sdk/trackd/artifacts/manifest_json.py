"""Reads the JSON form of a manifest, as servers keep it (W&B manifest version 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from trackd.artifacts.manifest import FORM_VERSION, STORAGE_POLICY, StoragePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAYOUTS = ("V1", "V2")
#: Key in the JSON, attribute of an entry, what it must be.
_FIELDS: tuple[tuple[str, str, type], ...] = (
    ("digest", "digest", str),
    ("ref", "ref", str),
    ("size", "size", int),
    ("birthArtifactID", "birth_artifact_id", str),
    ("extra", "extra", dict),
)


class ManifestForm(NamedTuple):
    """What the JSON of a manifest says.

    Attributes:
        policy: how the server keeps files.
        entries: attributes of entries by path.
    """

    policy: StoragePolicy
    entries: dict[str, dict[str, Any]]


def read(form: Mapping[str, Any]) -> ManifestForm:
    """Return what the JSON of a manifest says.

    Raises:
        ValueError: it is of another version, or something in it is missing or wrong.
    """
    version = form.get("version")
    if version != FORM_VERSION or isinstance(version, str):
        raise ValueError(f"manifest version {version!r}: only {FORM_VERSION} can be read")
    if form.get("storagePolicy") != STORAGE_POLICY:
        raise ValueError(
            f"manifest storagePolicy {form.get('storagePolicy')!r}: only {STORAGE_POLICY!r} exists"
        )
    config, contents = (_mapping(form, key) for key in ("storagePolicyConfig", "contents"))
    layout, region = config.get("storageLayout") or "", config.get("storageRegion") or ""
    if layout and layout not in _LAYOUTS:
        raise ValueError(f"manifest storageLayout {layout!r}: must be one of {_LAYOUTS}")
    entries = {path: _attributes(path, _mapping(contents, path)) for path in contents}
    return ManifestForm(StoragePolicy(layout, region), entries)


def _mapping(form: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = form.get(key)
    if not isinstance(found, dict):
        shown = f"manifest: {key!r} must be an object, not {found!r}"
        raise ValueError(shown)  # noqa: TRY004 - whatever is wrong in a manifest
    return cast("dict[str, Any]", found)


def _attributes(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an entry; other keys, such as paths of a machine, are dropped."""
    found: dict[str, Any] = {}
    for key, attribute, kind in _FIELDS:
        value = entry.get(key)
        if value is None and key != "digest":
            continue
        if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
            raise ValueError(f"manifest entry {path!r}: {key} {value!r} is no such value")
        found[attribute] = value
    return found
