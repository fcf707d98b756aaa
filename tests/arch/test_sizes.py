"""Size gates: what does not fit is split, or listed here by name with its reason."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest
from tests.support.source import OURS, ROOT, modules, python_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE = 400
MAX_FUNCTION = 60
MAX_CLASS = 300
MAX_METHODS = 20
MAX_PACKAGE = 2500
MAX_FAN_OUT = 12
#: Composition roots: knowing everybody is their job.
WIRING = ("trackd_agent.daemon", "trackd_server.app", "trackd.starting")
#: What is larger than its gate, and why: "path" or "path:Class.function" → reason.
EXCEPTIONS: dict[str, str] = {
    "sdk/trackd/data_types.py": "a list of names from where they live, for scripts that use it",
    "sdk/trackd/runs/run.py:Run": "the façade of the public API: a name each, which delegates",
    "agent/trackd_agent/runs/registry.py": "the front of its room: calls go on to their modules",
    "sdk/trackd/runs/run.py": "the façade: each method leads to the module that does the work",
    "sdk/trackd/runs/facts.py": "the façade: each fact comes from the module that knows it",
    "sdk/trackd/runs/facts.py:RunFacts": "the façade's properties: a fact of the run each",
    "tests/conformance/same/artifacts/media.py:_": "a list of what is tried, a line each",
}

_SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


@dataclass
class Source:
    """A file and which of its lines hold code: neither blank, nor comment, nor docstring."""

    path: Path
    tree: ast.Module
    code_lines: set[int]

    @classmethod
    def read(cls, path: Path) -> Source:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in _SKIPPED:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return cls(path, tree, lines)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def size(self, node: ast.stmt) -> int:
        return len(self.code_lines & set(range(node.lineno, (node.end_lineno or 0) + 1)))

    def definitions(
        self,
    ) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
        stack: list[tuple[str, ast.AST]] = [("", self.tree)]
        while stack:
            prefix, node = stack.pop()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    name = f"{prefix}.{child.name}".lstrip(".")
                    yield name, child
                    stack.append((name, child))
                else:
                    stack.append((prefix, child))


_read = cache(Source.read)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of the trees of all files after the last of these tests."""
    yield
    _read.cache_clear()


def sources(folders: list[str]) -> list[Source]:
    return [_read(path) for path in python_files(folders)]


def over_gate(found: dict[str, int], gate: int) -> dict[str, int]:
    return {name: size for name, size in found.items() if size > gate and name not in EXCEPTIONS}


def test_files_are_short() -> None:
    found = {source.name: len(source.code_lines) for source in sources([*OURS, "tests"])}
    assert not over_gate(found, MAX_FILE)


def test_functions_are_short() -> None:
    found: dict[str, int] = {}
    for source in sources([*OURS, "tests"]):
        for name, node in source.definitions():
            if not isinstance(node, ast.ClassDef):
                found[f"{source.name}:{name}"] = source.size(node)
    assert not over_gate(found, MAX_FUNCTION)


def test_classes_are_small() -> None:
    lines: dict[str, int] = {}
    methods: dict[str, int] = {}
    for source in sources(OURS):
        for name, node in source.definitions():
            if not isinstance(node, ast.ClassDef):
                continue
            full = f"{source.name}:{name}"
            lines[full] = source.size(node)
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            public = [
                child
                for child in node.body
                if isinstance(child, functions) and not child.name.startswith("_")
            ]
            methods[full] = len(public)
    assert not over_gate(lines, MAX_CLASS)
    assert not over_gate(methods, MAX_METHODS)


def test_packages_are_small() -> None:
    found: dict[str, int] = {}
    for source in sources(OURS):
        folder = str(source.path.parent.relative_to(ROOT))
        found[folder] = found.get(folder, 0) + len(source.code_lines)
    assert not over_gate(found, MAX_PACKAGE)


def test_no_module_knows_too_many_others() -> None:
    ours = modules()
    found: dict[str, int] = {}
    for module, path in ours.items():
        if module.startswith(WIRING) or path.name == "__init__.py":
            continue
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                candidates = {f"{node.module}.{alias.name}" for alias in node.names}
                imported |= (candidates & ours.keys()) or ({node.module} & ours.keys())
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names} & ours.keys()
        found[str(path.relative_to(ROOT))] = len(imported)
    assert not over_gate(found, MAX_FAN_OUT)


def test_every_exception_is_still_needed_and_has_a_reason() -> None:
    """An exception that nothing needs any more is removed."""
    known: dict[str, int] = {}
    for source in sources([*OURS, "tests"]):
        known[source.name] = len(source.code_lines)
        for name, node in source.definitions():
            known[f"{source.name}:{name}"] = source.size(node)
    for name, reason in EXCEPTIONS.items():
        assert name in known, f"{name} does not exist"
        assert len(reason) > 20, f"{name}: say why"
