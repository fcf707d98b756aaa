"""Large versions are cleared away in steps; no figure and no reader sees one half-gone."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.server.artifact_client import Logger
from tests.unit.server.serving import Serving, serving

from trackd_server.app import upkeep
from trackd_server.domain.artifacts import ending, remains
from trackd_server.domain.usage import Accounts, deletions, forecast, fsck, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {f"d/{number:03}": b"%d" % number * 100 for number in range(300)}
DELETE = """mutation D($id: ID!) {
  deleteArtifactSequence(input: {artifactSequenceID: $id}) { artifactCollection { id } } }"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A server for which a few files are many, and which has no time to wait for."""
    monkeypatch.setattr(remains, "ENTRIES_AT_ONCE", 50)
    monkeypatch.setattr(ending, "CLEARED_BEFORE_RETURN_S", 0.0)
    with serving(tmp_path / "server") as server:
        yield server


def _left(server: Serving) -> int:
    with server.services.database.read() as connection:
        return remains.count(connection)


def _clear(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the background does, and look at the books after each step."""
    monkeypatch.setattr(ending, "CLEARED_BEFORE_RETURN_S", 0.0001)
    for _ in range(50):
        if server.services.artifacts.clear():
            break
        assert fsck.check(server.services.storage).ok
    while server.services.storage.reclaimer.work():
        pass
    assert _left(server) == 0
    assert fsck.check(server.services.storage, verify=True).ok


def _usage(server: Serving) -> tuple[int, int, int]:
    """Return bytes of artifacts, of what is in transit, and by how much the sum misses the disk."""
    with server.services.database.read() as connection:
        usage = Accounts(connection).server(server.services.storage)
    return sum(usage.kinds.values()), usage.in_transit, usage.physical - usage.disk


def test_a_large_version_is_gone_at_once_and_cleared_away_later(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Logger(server)
    small, large = logger.log({"x": b"other"}), logger.log(FILES)
    assert _left(server) == 1, "what the draft held"
    assert set(logger.manifest(large)) == set(FILES)
    assert _usage(server)[2] == 0
    _clear(server, monkeypatch)
    monkeypatch.setattr(ending, "CLEARED_BEFORE_RETURN_S", 0.0)
    everything = deletions.of_collection("local", "p", "a")
    expected = forecast(server.services.database, everything)
    before, _, _ = _usage(server)
    assert expected.bytes == before
    assert logger.delete(large).status_code == 200
    assert logger.named("latest")["id"] == small
    assert _left(server) == 1
    kept, in_transit, missing = _usage(server)
    assert kept < 200
    assert in_transit > 10_000
    assert missing == 0
    _clear(server, monkeypatch)
    assert _usage(server) == (kept, 0, 0)


def test_what_comes_again_meanwhile_is_stored_again(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Logger(server)
    logger.delete(logger.log(FILES))
    again = logger.log(FILES)
    _clear(server, monkeypatch)
    assert set(logger.manifest(again)) == set(FILES)
    assert _usage(server)[1:] == (0, 0)


def test_a_collection_is_deleted_in_steps(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "DELETED_AT_ONCE", 2)
    logger = Logger(server)
    logged = [logger.log({"n": b"%d" % n, "same": b"same" * 99}) for n in range(5)]
    draft = logger.create()["id"]
    logger.upload(draft, b"of the draft")
    sequence = logger.read(logged[0], "artifactSequence { id }")["artifactSequence"]["id"]
    server.graphql(DELETE, {"id": sequence})
    _clear(server, monkeypatch)
    with server.services.database.read() as connection:
        for table in ("collections", "versions", "segments", "contents", "packs", "aliases"):
            query = f"SELECT count(*) FROM {table}"
            assert connection.exec_driver_sql(query).scalar_one() == 0, table


def test_a_long_forecast_keeps_nobody_waiting_and_says_the_same(
    server: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Logger(server).log(FILES)
    deletion = deletions.of_collection("local", "p", "a")
    in_place = forecast(server.services.database, deletion)
    monkeypatch.setattr(rehearsal, "HELD_S", -1.0)
    monkeypatch.setattr("trackd_server.store.database._STEPS_BETWEEN_LOOKS", 1)
    assert forecast(server.services.database, deletion) == in_place
    assert in_place.bytes > 10_000
    assert not [path for path in (tmp_path / "server").iterdir() if "rehearsal" in path.name]


def test_a_base_that_was_given_up_ends_as_it_should(server: Serving) -> None:
    logger = Logger(server)
    first = logger.log({"a": b"1"}, ttlDurationSeconds=86_400)
    second = logger.log({"a": b"2"}, ttlDurationSeconds=86_400)
    draft = logger.create()["id"]
    logger.announce(draft, "INCREMENTAL", base=first)
    url = logger.announce(draft, "INCREMENTAL", base=second)
    logger.put_manifest(url, {})
    logger.commit(draft)
    with server.services.database.read() as connection:
        query = "SELECT count(*) FROM versions WHERE expires_at > ?"
        assert connection.exec_driver_sql(query, (time.time(),)).scalar_one() == 2


async def test_a_duty_that_breaks_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PAUSE_AFTER_FAILURE_S", 0.0)

    def broken() -> bool:
        raise ValueError("a fault of ours")

    assert await upkeep.attempted("test", broken, anyio.CapacityLimiter(1)) is False


def test_a_change_that_takes_long_is_answered(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed_s[0])
    monkeypatch.setattr("trackd_server.api.resolvers.context.time", clock)
    commit = server.services.artifacts.commit

    def slow(version_id: int) -> None:
        passed_s[0] += 100  # longer than an operation may take
        commit(version_id)

    monkeypatch.setattr(server.services.artifacts, "commit", slow)
    Logger(server).log({"a": b"1"})
    assert Logger(server).named("v0") is not None
