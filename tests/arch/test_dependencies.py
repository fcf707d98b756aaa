"""What we depend on is pinned, and nothing tracked names a machine or a registry."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support.source import ROOT, tracked_files

#: In pieces, so that this file does not hold them.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.np" + "mjs",
    "deb.deb" + "ian.org",
]
MACHINE_PATHS = re.compile(r"(?<![\w.~}])/(?:work|root|farm)/")
#: Installed along with every Python, never by us.
NOT_PINNED = {"pip", "setuptools", "trackd"}


def pins() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate():
                continue  # for another Python or system
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{line}: pin it with =="
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def closure() -> set[str]:
    """Return all that our own dependencies need here, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    waiting = [Requirement(text) for text in declared]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if not wanted or (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in metadata.distribution(name).requires or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    needed.marker = None
                    waiting.append(needed)
    return {name for name, _ in seen}


def test_every_dependency_is_pinned_to_what_is_installed() -> None:
    pinned = pins()
    needed = closure() - NOT_PINNED
    assert not needed - pinned.keys(), "constraints.txt does not pin them"
    installed = {name: metadata.version(name).partition("+")[0] for name in needed}  # no build
    different = {
        n: (pinned[n], version) for n, version in installed.items() if pinned[n] != version
    }
    assert not different


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    found: list[str] = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}: {host}" for host in REGISTRIES if host in text]
        found += [f"{name}: {match.group()}" for match in MACHINE_PATHS.finditer(text)]
    assert not found
