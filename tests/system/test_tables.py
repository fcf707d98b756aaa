"""Tables of runs that are uploaded: increments over a restart, files at the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.agent import running_agent
from tests.system.test_continued_runs import Trainings

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
run = trackd.init(project="p", id="r", resume="allow")
table = trackd.Table(columns=["n"], log_mode="INCREMENTAL")
for n in range(2):
    table.add_data(n)
    run.log({"t": table})
run.finish()
"""


async def test_increments_are_counted_on_when_a_run_is_resumed(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        await trainings.train(SCRIPT)
        await trainings.train(SCRIPT)
        found = await trainings.document("r", rows=4)
        forms = [row["t"] for row in found["history"]]
        assert [form["increment_num"] for form in forms] == [0, 1, 2, 3]
        assert forms[3]["previous_increments_paths"] == [
            form["artifact_path"] for form in forms[:3]
        ]
        names = {one["name"] for one in found["files"]}
        assert {form["path"] for form in forms} <= names
