"""Who may import whom, and what importing us costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.source import ROOT

SCRIPTS = Path(sys.executable).parent
#: What a rank may hold after `init`, besides the standard library and ourselves.
ALLOWED_AFTER_INIT = {"cython_runtime", "google", "grpc", "msgspec", "typing_extensions"}
#: `import grpc` makes these reachable below itself where they are installed.
GRPC_ALIASES = {"grpc_health", "grpc_reflection", "grpc_tools"}
MAX_IMPORT_RSS_MIB = 4.0  # above the bare interpreter
MAX_IMPORT_MODULES = 150
MAX_INIT_RSS_MIB = 45.0
MAX_INIT_MODULES = 300

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
print("FACTS", json.dumps(facts), flush=True)
import os; os._exit(0)
"""


def probe(code: str, **environ: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", PROBE.format(code=code)],
        env={"PATH": os.environ.get("PATH", ""), **environ},
        capture_output=True,
        text=True,
        timeout=240,
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


def test_a_rank_stays_light_after_init(tmp_path: Path) -> None:
    """Without an agent (nobody listens at the address that is given), which changes no import."""
    code = f"""
import os; os.chdir({str(tmp_path)!r})
import trackd
run = trackd.init(mode="offline", project="p", settings={{"init_timeout": 0.2, "silent": True}})
run.log({{"loss": 1.0}})
"""
    facts = probe(
        code, TRACKD_DIR=str(tmp_path / "data"), TRACKD_SERVICE="unix:/nowhere/agent.sock"
    )
    assert set(facts["foreign"]) <= ALLOWED_AFTER_INIT | GRPC_ALIASES
    assert facts["modules"] <= MAX_INIT_MODULES
    assert facts["rss"] <= MAX_INIT_RSS_MIB
