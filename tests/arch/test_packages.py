"""Rooms and names: every package says what it owns, and no room is called after nothing."""

from __future__ import annotations

import ast

import pytest
from tests.support.source import ROOT, modules

#: Names that say nothing about what a module is for.
EMPTY_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
#: Modules that scripts for wandb know by name.
GIVEN_NAMES = {"helper"}
MIN_DOCSTRING = 40

PACKAGES = {name: path for name, path in modules().items() if path.name == "__init__.py"}


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_says_what_it_owns(package: str) -> None:
    docstring = ast.get_docstring(ast.parse(PACKAGES[package].read_text(encoding="utf-8")))
    assert docstring is not None, f"{package} has no docstring"
    assert len(docstring) >= MIN_DOCSTRING, f"{package}: {docstring!r} says too little"
    assert "to be written" not in docstring.lower()


def test_no_module_is_called_after_nothing() -> None:
    empty = [name for name in modules() if set(name.split(".")) & EMPTY_NAMES - GIVEN_NAMES]
    assert not empty


def test_the_top_level_folders_are_no_packages() -> None:
    found = [
        folder
        for folder in ("sdk", "agent", "server", "proto")
        if (ROOT / folder / "__init__.py").exists()
    ]
    assert not found


def test_every_package_is_marked_as_typed() -> None:
    for name, path in PACKAGES.items():
        if "." not in name:
            assert (path.parent / "py.typed").exists(), name
