"""Scripts of our own run under both modules and record the same: the real `wandb` is the oracle.

`same/NAME.py` is written like the scripts of the conformance data. Nothing in them is known to
differ: what we do otherwise on purpose is left out of them and told in the README.

A script mostly waits, for the reference's service above all: so two scripts run at once, each
with folders and agents of its own, and a test asks what became of its one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CONFORMANCE = HERE.parents[2] / "shared" / "conformance"
SCRIPTS = sorted((HERE / "same").glob("*.py"))
_AT_ONCE = 2
#: Below the limit of a test, which begins to wait when its script may only be starting.
_LIMIT_S = 500

pytestmark = [
    pytest.mark.timeout(_LIMIT_S + 60),
    pytest.mark.skipif(
        not CONFORMANCE.is_dir(), reason="no conformance data beside the repository"
    ),
]


def compare(script: Path, folder: Path) -> str:
    """Run a script under both modules; return what differs, empty for nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_", "XDG_"))}
    found = subprocess.run(
        [sys.executable, HERE / "reference_export.py", "--diff", script],
        env={**kept, "TRACKD_IDLE_TIMEOUT": "1", "TMPDIR": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    return found.stdout + found.stderr if found.returncode else ""


@pytest.fixture(scope="module")
def comparisons(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """The scripts of the chosen tests, running in the order of the tests."""
    chosen = {item.name for item in request.session.items}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {
            script.stem: pool.submit(compare, script, tmp_path_factory.mktemp(script.stem))
            for script in SCRIPTS
            if any(name.endswith(f"[{script.stem}]") for name in chosen)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("script", [path.stem for path in SCRIPTS])
def test_a_script_records_the_same_under_both(
    script: str, comparisons: dict[str, Future[str]]
) -> None:
    assert comparisons[script].result() == ""
