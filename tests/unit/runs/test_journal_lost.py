"""A journal that was removed while its rank lives: the rank goes on with what it still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.runs.upload.memory import Memory

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_rank_that_trimmed_its_spool_is_not_asked_for_it_again(tmp_path: Path) -> None:
    async with fake_server() as server:
        rank = Rank(tmp_path)
        async with running_registry(tmp_path, server.base_url) as registry:
            writer = await rank.attach(registry)
            for number in range(10):
                rank.log({"n": number})
            rank.send()
            await until(lambda: len(server.rows("r1")) == 10)
            name = registry.upstreams.get("").name
            memory = Memory(writer.folder, name, 0.0)

            def is_remembered() -> bool:  # without it the numbers of the lines are lost
                made = memory.load()
                return made is not None and made.rank_seq == rank.last_seq

            await until(is_remembered)
        for segment in (tmp_path / "agent" / "journal").glob("*/*/*.seg"):
            segment.unlink()
        trimmed = rank.last_seq
        for number in range(10, 20):
            rank.log({"n": number})
        rank.write_spool(after=trimmed)
        with rank.alive():
            async with running_registry(tmp_path, server.base_url) as registry:
                writer = await rank.attach(registry, reattach=True)
                assert writer.acked_seq == rank.last_seq
                rank.log({"n": 20})
                rank.send()
                await rank.finish()
                await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(21))
