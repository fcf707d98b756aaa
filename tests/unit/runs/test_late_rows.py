"""Rows whose step went back: they wait for a word of the server, and outlive the agent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_proto.layout import producer_name
from trackd_proto.wandb_http import LATE_FEATURE, LATE_FILE_PREFIX

if TYPE_CHECKING:
    from pathlib import Path


async def test_rows_that_wait_for_a_word_of_the_server_outlive_the_agent(tmp_path: Path) -> None:
    rank = Rank(tmp_path)
    name = f"{LATE_FILE_PREFIX}{producer_name(rank.producer)}.jsonl"
    async with fake_server() as server:
        with rank.alive():
            async with running_registry(tmp_path, server.base_url) as registry:
                writer = await rank.attach(registry)
                rank.log({"n": 0}, step=5)
                rank.log({"n": 1}, step=3)
                rank.log({"n": 2}, step=6)
                rank.send()
                await until(lambda: writer.uploaded_seq == rank.last_seq)
                await until(lambda: writer.pumps.stored_seqs[0] == rank.last_seq)
            server.features = [LATE_FEATURE]
            async with running_registry(tmp_path, server.base_url) as registry:
                await rank.attach(registry, reattach=True)
                await rank.finish()
                await until(lambda: "r1" in server.complete)
        lines = server.lines["r1", "", name]
        assert [(n, json.loads(line)["n"]) for n, line in lines.items()] == [(0, 1)]
        assert [row["n"] for row in server.rows("r1")] == [0, 2]
