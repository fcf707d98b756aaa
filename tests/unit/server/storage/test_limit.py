"""The limit of storage: said in time, and a refusal says who stores most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.server import running_server

from trackd_server.app.byte_count import byte_count

if TYPE_CHECKING:
    from pathlib import Path


async def test_uploads_beyond_the_limit_are_refused_with_the_largest_owners(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path, options=["--max-storage", "2MB"]) as server:
        server.stream("small", {"files": {"wandb-history.jsonl": {"content": ['{"_step":0}']}}})
        server.stream("large", {"files": {"wandb-history.jsonl": {"content": ['{"_step":0}']}}})
        with server.client() as client:
            before = client.get("/api/v1/usage").json()["limit"]
            assert before["bytes"] == 2_000_000 and not before["warning"]
            path = "/files/local/p/{}/model.bin"
            assert client.put(path.format("large"), content=b"x" * 1_000_000).status_code == 200
            refused = client.put(path.format("small"), content=b"x" * 1_500_000)
            assert refused.status_code == 413
            (error,) = refused.json()["errors"]
            assert error["extensions"]["code"] == "STORAGE_LIMIT_REACHED"
            assert "--max-storage" in error["message"]
            assert "run local/p/large (1000" in error["message"]
            assert client.get("/api/v1/usage").json()["limit"]["used"] < 2_000_000
            assert client.put(path.format("small"), content=b"x" * 200_000).status_code == 200
            usage = client.get("/api/v1/usage").json()
            assert usage["physical"] == usage["disk"]
        # Metrics of a training that runs are taken as long as the disk takes them.
        row = {"files": {"wandb-history.jsonl": {"offset": 1, "content": ['{"_step":1}']}}}
        assert server.stream("small", row).status_code == 200
    assert (tmp_path / "server.log").read_text().count("storage_nearly_full") <= 1


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("500GB", 500 * 10**9), ("1.5 GiB", 3 * 2**29), ("2k", 2000), ("7b", 7)],
)
def test_numbers_of_bytes_have_units(text: str, number: int) -> None:
    assert byte_count(text) == number


@pytest.mark.parametrize("text", ["", "x", "-1", "5 GBB", "1e9", "GiB"])
def test_what_is_no_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="500GB"):
        byte_count(text)
