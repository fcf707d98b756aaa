"""References into other artifacts as a server delivers them, whatever they name."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.agent import running_agent

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import base64, os
import trackd
from trackd.artifacts import ManifestEntry

run = trackd.init(project="p")
base = trackd.Artifact("base", "data")
with base.new_file("deep/file") as file:
    file.write("content")
run.log_artifact(base).wait()
kind, _, number = base64.b64decode(base.id).decode().partition(":")
digest = base.manifest.entries["deep/file"].digest


def logged(name, path, number=int(number)):
    target = f"{kind}:{number}".encode().hex()
    artifact = trackd.Artifact(name, "data")
    reference = f"wandb-artifact://{target}/{path}"
    artifact.manifest.add_entry(ManifestEntry("x", digest, size=0, ref=reference))
    return run.log_artifact(artifact).wait()


folder = logged("good", "deep/file").download("got")
assert open("got/x").read() == "content"
secret = os.path.abspath("secret")
bad = [secret, "../" * 20 + secret[1:], "deep/../../../secret"]
for at, path in enumerate(bad):
    artifact = logged(f"bad{at}", path)
    try:
        artifact.download(f"bad{at}")
    except ValueError as error:
        assert "no place inside" in str(error), error
    else:
        raise AssertionError(path)
    assert os.listdir(f"bad{at}") == []
own = int(base64.b64decode(artifact.id).decode().partition(":")[2]) + 1
circle = logged("circle", "x", own)
try:
    circle.download("circle")
except ValueError as error:
    assert "lead through more than" in str(error), error
else:
    raise AssertionError("a circle has an end")
run.finish()
"""


async def test_references_lead_to_entries_and_nowhere_else(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "secret").write_text("of the user")
    async with running_agent(tmp_path) as agent:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=work,
            env=agent.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
