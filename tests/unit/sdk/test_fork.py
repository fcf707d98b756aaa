"""Forked children, spawned children and threads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.unit.sdk.small_agent import SmallAgent, kinds, read_records

from trackd_proto import layout
from trackd_proto.records import Row, Start

if TYPE_CHECKING:
    from pathlib import Path

Script = Callable[..., subprocess.CompletedProcess[str]]


def spools(place: Path) -> list[Path]:
    return sorted(layout.spool_root(place / "data").iterdir())


def rows(agent: SmallAgent) -> list[dict[str, Any]]:
    return [record.data for record in agent.records() if isinstance(record, Row)]


def test_a_child_that_logs_writes_its_own_spool_and_the_parent_goes_on(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import os, trackd
run = trackd.init(project="p", id="r")
for i in range(5):
    run.log({"parent": i})
pid = os.fork()
if pid == 0:
    for i in range(5):
        run.log({"child": i})
    os._exit(0)
os.waitpid(pid, 0)
for i in range(5, 10):
    run.log({"parent": i})
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert rows(agent) == [{"parent": i} for i in range(10)]
    [spool] = spools(place)
    assert kinds(spool) == ["START", *["ROW"] * 5]
    start = read_records(spool)[0]
    assert isinstance(start, Start)
    parent = agent.requests[0]
    assert start.parent_producer == parent.producer
    assert start.first_step == 5
    assert start.config == {}
    assert not start.update_finish_state
    assert not start.primary


def test_a_child_that_finishes_ends_only_its_own_records(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import os, sys, trackd
run = trackd.init(project="p", id="r")
run.log({"parent": 0})
pid = os.fork()
if pid == 0:
    run.log({"child": 0})
    run.finish()
    try:
        run.log({"child": 1})
    except trackd.UsageError:
        sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
run.log({"parent": 1})
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert rows(agent) == [{"parent": 0}, {"parent": 1}]
    assert kinds(spools(place)[0]) == ["START", "ROW", "EXIT"]


def test_a_child_that_only_exits_is_silent_and_leaves_nothing(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import os, sys, trackd
run = trackd.init(project="p", id="r")
run.log({"parent": 0})
sys.stderr.write("BEFORE\\n")
sys.stderr.flush()
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
sys.stderr.write("AFTER\\n")
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert "BEFORE\nAFTER\n" in done.stderr, done.stderr
    assert rows(agent) == [{"parent": 0}]
    assert spools(place) == []


def test_children_of_a_process_pool_log_while_the_parent_streams(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import multiprocessing, trackd

def work(n):
    trackd.log({"child": n})
    return n

if __name__ == "__main__":
    run = trackd.init(project="p", id="r")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        for i, n in enumerate(pool.imap_unordered(work, range(100))):
            run.log({"parent": i})
    run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert rows(agent) == [{"parent": i} for i in range(100)]
    from_children = [
        record.data["child"]
        for spool in spools(place)
        for record in read_records(spool)
        if isinstance(record, Row)
    ]
    assert sorted(from_children) == list(range(100))


def test_a_child_may_start_a_run_of_its_own(agent: SmallAgent, place: Path, script: Script) -> None:
    done = script(
        """
import os, trackd
run = trackd.init(project="p", id="r")
run.log({"parent": 0})
pid = os.fork()
if pid == 0:
    assert trackd.init(project="p", id="other") is run  # as in its parent: one is open
    own = trackd.init(project="p", id="own", config={"a": 1}, reinit="create_new",
                      settings={"x_save_requirements": False})
    assert own is not run
    own.log({"own": 0})
    own.finish()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert rows(agent) == [{"parent": 0}]
    [spool] = spools(place)
    start = read_records(spool)[0]
    assert isinstance(start, Start)
    assert (start.run_id, start.config) == ("own", {"a": 1})
    assert kinds(spool) == ["START", "ROW", "EXIT"]


def test_the_spool_lock_of_a_killed_parent_is_free_although_its_child_lives(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import os, signal, sys, time, trackd
run = trackd.init(project="p", id="r")
run.log({"parent": 0})
pid = os.fork()
if pid == 0:
    os.close(1); os.close(2)
    time.sleep(5)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    assert done.returncode == -9
    import fcntl

    [spool] = spools(place)
    with (spool / layout.SPOOL_LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert kinds(spool)[:2] == ["START", "ROW"]


def test_threads_share_a_run(agent: SmallAgent, place: Path, script: Script) -> None:
    done = script(
        """
import threading, trackd
run = trackd.init(project="p", id="r")
def work(n):
    for i in range(2000):
        run.log({f"t{n}": i})
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    found = rows(agent)
    assert len(found) == 16_000
    for n in range(8):
        assert [row[f"t{n}"] for row in found if f"t{n}" in row] == list(range(2000))


def test_spawned_children_join_the_run_by_its_id(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    done = script(
        """
import multiprocessing, trackd

def work(n):
    with trackd.init(project="p", id="r") as run:
        run.log({"rank": n})

if __name__ == "__main__":
    with trackd.init(project="p", id="r"):
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=work, args=(n,)) for n in range(2)]
        [p.start() for p in processes]
        [p.join() for p in processes]
"""
    )
    assert done.returncode == 0, done.stderr
    assert sorted(row["rank"] for row in rows(agent) if "rank" in row) == [0, 1]
    labels = {request.label for request in agent.requests}
    assert "" in labels
    assert len([label for label in labels if label.startswith("p")]) == 2
