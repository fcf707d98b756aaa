"""What people are told of a server that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from trackd_agent.core.errors import UpstreamUnavailable
from trackd_agent.upstream import Credentials, Manner, UpstreamConfig, UpstreamPool, ask

if TYPE_CHECKING:
    from pathlib import Path


class NeverStarts:
    """A server of ours that ends whenever it is started."""

    problem = "the server ended with status 1: see server.log"

    async def resolve(self) -> tuple[str, str]:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_server_of_ours_that_does_not_start_is_told_with_its_reason(
    tmp_path: Path,
) -> None:
    pool = UpstreamPool(UpstreamConfig(), Credentials(tmp_path / "c.json"), NeverStarts())
    async with pool:
        upstream = pool.get("")

        async def question() -> bytes:
            return await upstream.call("GET", "/x", b"", 0, Manner())

        with pytest.raises(UpstreamUnavailable, match=r"within 0\.1 s: the server ended with stat"):
            await ask(upstream, Manner(), 0.1, question)
        (state,) = pool.status()
        assert (state.state, state.problem) == ("unreachable", NeverStarts.problem)
