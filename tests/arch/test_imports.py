"""Who may import whom, and what importing us costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.source import ROOT

SCRIPTS = Path(sys.executable).parent
#: What a rank may hold after `init`, besides the standard library and ourselves.
ALLOWED_AFTER_INIT = {"cython_runtime", "google", "grpc", "msgspec", "typing_extensions"}
MAX_IMPORT_RSS_MIB = 4.0  # above the bare interpreter
MAX_IMPORT_MODULES = 150
MAX_INIT_RSS_MIB = 45.0
MAX_INIT_MODULES = 400

PROBE = """
import sys, json, pathlib
def rss():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
before, rss_before = set(sys.modules), rss()
{code}
new = sorted(set(sys.modules) - before)
roots = {{name.partition(".")[0] for name in new}}
foreign = sorted(
    root for root in roots
    if root not in sys.stdlib_module_names
    and not root.startswith(("trackd", "_cython_", "_trackd"))
)
facts = dict(foreign=foreign, modules=len(new), rss=rss(), rss_before=rss_before)
print("FACTS", json.dumps(facts))
"""


def probe(code: str, **environ: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", PROBE.format(code=code)],
        env=environ or None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("FACTS "))
    return json.loads(line.removeprefix("FACTS "))


def test_the_import_contracts_hold() -> None:
    ended = subprocess.run(
        [SCRIPTS / "lint-imports", "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_importing_the_sdk_loads_the_standard_library_only() -> None:
    facts = probe("import trackd")
    assert facts["foreign"] == []
    assert facts["modules"] <= MAX_IMPORT_MODULES
    assert facts["rss"] - facts["rss_before"] <= MAX_IMPORT_RSS_MIB


@pytest.mark.parametrize("package", ["trackd_agent", "trackd_server", "trackd_proto"])
def test_importing_a_package_alone_loads_nothing_heavy(package: str) -> None:
    assert probe(f"import {package}")["foreign"] == []
