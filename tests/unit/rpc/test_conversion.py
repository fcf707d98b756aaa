"""What the agent knows, as messages: one odd writer makes no answer about all others fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from trackd_agent.rpc import conversion
from trackd_agent.runs.options import RunSnapshot, WriterSnapshot


@pytest.mark.parametrize(
    ("given", "told"),
    [(None, None), (0, 0), (-1, -1), (2**40, 2**31 - 1), (-(2**70), -(2**31))],
)
def test_numbers_that_no_message_holds_are_told_as_the_nearest_that_it_does(
    given: int | None, told: int | None
) -> None:
    facts = {"label": "", "producer": "1", "pid": 1, "state": "exited"}
    numbers = {"received_seq": 1, "journalled_seq": 1, "uploaded_seq": 1, "backlog_bytes": 0}
    writer = WriterSnapshot(**facts, **numbers, dropped={"why": 2**70}, exit_code=given)  # pyright: ignore[reportArgumentType]
    run = RunSnapshot("r", "p", "", "online", "running", Path("/r"), "", "", 0.0, (writer,))
    [found] = conversion.run_status(run).writers
    assert found.dropped["why"] == 2**64 - 1
    assert found.HasField("exit_code") == (told is not None)
    assert found.exit_code == (told or 0)
