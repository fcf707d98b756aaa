"""Copies of files that go to several servers: there until the last one has them, and not longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakes.wandb_server import fake_server, status
from tests.support.artifact_records import end_of, logged
from tests.support.rank import Rank
from tests.support.runs import running_registry, until
from tests.unit.artifacts.saves.test_saves import run_dir_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("dies", [False, True], ids=["one agent", "two agents"])
async def test_the_last_server_that_has_the_files_removes_the_copies(
    tmp_path: Path, dies: bool
) -> None:
    run_dir = run_dir_of(tmp_path)
    given = [logged(run_dir, {"n": b"%d" % n}) for n in range(2)]

    def copies() -> int:
        return sum(path.is_file() for path in (run_dir / "artifacts").rglob("*"))

    async with fake_server() as server, fake_server() as mirror:
        mirror.faults["put"] = status(503)
        mirrors = (mirror.base_url,)
        rank = Rank(tmp_path)
        async with running_registry(tmp_path, server.base_url, mirrors=mirrors) as registry:
            await registry.upstreams.credentials.put(mirror.base_url, mirror.api_key)
            await rank.attach(registry)
            rank.add(*given)
            rank.send()
            for each in given:
                assert (await end_of(registry, each.client_id)).state == "COMMITTED"
            await until(lambda: mirror.requests.get("put", 0) > 0)
            assert copies() == 2
            if not dies:
                mirror.faults.clear()
                await until(lambda: len(mirror.artifacts.committed("model")) == 2)
                await until(lambda: not copies())
                await rank.finish()
                await until(lambda: not registry.runs(active_only=True))
        if dies:
            mirror.faults.clear()
            async with running_registry(tmp_path, server.base_url, mirrors=mirrors) as registry:
                await rank.attach(registry)
                rank.send()
                await rank.finish()
                await until(lambda: not registry.runs(active_only=True))
        for each in (server, mirror):
            assert len(each.artifacts.committed("model")) == 2
        assert not copies()
    assert not list((tmp_path / "data").rglob("*.had"))
    assert not list(tmp_path.rglob("*.had"))
