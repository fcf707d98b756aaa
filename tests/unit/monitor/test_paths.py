"""Paths of disks: a file system that hangs takes nobody's figures along."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from trackd_agent.monitor.readers import paths
from trackd_agent.monitor.readers.paths import MAX_HANGING, MAX_PATHS, PathFacts, PathReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HANGS = "its file system does not answer"


class Server:
    """Of a network file system: who asks about a path below `/dead` waits until it is back."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.hanging = threading.Semaphore(0)
        self.asked = Counter[str]()
        self._usage = psutil.disk_usage

    def usage(self, path: str) -> Any:
        self.asked[path] += 1
        if "/dead" in path:
            self.hanging.release()
            self.back.wait(240)
        return self._usage(path)

    def patience(self) -> threading.Event:
        """Return an event for which nobody waits longer than until a path begins to hang."""
        server = self

        class Patience(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                while not self.is_set() and not server.hanging.acquire(timeout=0.001):
                    pass
                return self.is_set()

        return Patience()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setattr(paths.psutil, "disk_usage", server.usage)
    patient = SimpleNamespace(Event=server.patience, Thread=threading.Thread)
    monkeypatch.setattr(paths, "threading", patient)
    yield server
    server.back.set()


def folders(root: Path, *names: str) -> list[str]:
    for name in names:
        (root / name).mkdir()
    return [str(root / name) for name in names]


def test_a_path_that_hangs_costs_the_patience_once_and_itself_alone(
    server: Server, tmp_path: Path
) -> None:
    before, dead, after = folders(tmp_path, "a", "dead", "z")
    reader = PathReader(patience_s=0.2)
    for _ in range(3):
        found = reader.read([before, dead, after])
        assert found[dead] == HANGS
        assert isinstance(found[before], PathFacts)
        assert isinstance(found[after], PathFacts)
    reader.read([before, dead, after])
    assert (server.asked[dead], server.asked[after]) == (1, 4)
    server.back.set()
    until_s = time.monotonic() + 120
    while reader.read([dead])[dead] == HANGS and time.monotonic() < until_s:
        time.sleep(0.01)
    assert isinstance(reader.read([dead])[dead], PathFacts)


def test_threads_that_hang_are_bounded(server: Server, tmp_path: Path) -> None:
    dead = folders(tmp_path, *(f"dead{number:02}" for number in range(MAX_HANGING + 2)))
    (alive,) = folders(tmp_path, "z")
    threads = threading.active_count()
    found = PathReader(patience_s=0.02).read([*dead, alive])
    assert [found[path] for path in dead[:MAX_HANGING]] == [HANGS] * MAX_HANGING
    assert {found[path] for path in (*dead[MAX_HANGING:], alive)} == {
        f"not asked while {MAX_HANGING} others do not answer"
    }
    assert threading.active_count() - threads <= MAX_HANGING


def test_what_is_no_path_says_so(tmp_path: Path) -> None:
    found = PathReader().read(["/not/there", "a\0b", str(tmp_path)])
    assert found["/not/there"] == "No such file or directory"
    assert found["a\0b"] == "it has characters that no path can have"
    facts = found[str(tmp_path)]
    assert isinstance(facts, PathFacts)
    assert facts.device == tmp_path.stat().st_dev


def test_more_paths_than_a_node_asks_about_are_named(tmp_path: Path) -> None:
    wanted = [str(tmp_path), *(f"/not/there/{number}" for number in range(MAX_PATHS))]
    found = PathReader().read(wanted)
    assert found.keys() == set(wanted)
    assert str(found[wanted[-1]]).startswith(f"one of more than {MAX_PATHS} paths")
