"""Runs from attach to the server, over real HTTP, without gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_run_goes_from_attach_to_complete(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, config={"lr": 0.1}, name="first")
        await rank.attach(registry)
        for number in range(10):
            rank.log({"loss": 1.0 / (number + 1)})
        rank.send()
        acked, _ = await rank.finish()
        assert acked == rank.last_seq
        await until(lambda: "r1" in server.complete)
        assert [row["loss"] for row in server.rows("r1")] == [1.0 / (n + 1) for n in range(10)]
        assert server.complete == {"r1": 0}
        assert not server.rewritten
        await until(lambda: not registry.runs(active_only=True))
        assert {"config.yaml", "wandb-summary.json"} <= set(server.files)
        assert {"config.yaml", "wandb-summary.json"} <= set(server.uploaded)
    assert not list((tmp_path / "agent" / "journal").iterdir())
