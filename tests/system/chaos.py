"""Chaos with an oracle: nothing that `log()` returned for is lost, changed, doubled or reordered.

Real ranks log at full speed into one run while agent and server are killed at random (SIGKILL,
SIGTERM, SIGSTOP, during start, during recovery). Then everything is killed at once, an agent is
started again, and what the server holds is compared with what the ranks noted. At last a fresh
rank must be accepted. Run it for long with, for example::

    python -m tests.system.chaos --rows 1000000 --kills 200 --ranks 4 --seed 1

Prints one JSON object; exit status 1 when the oracle objects.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tests.system.chaos_rank import NUMBER_BYTES, PAUSES_UNTIL, PROJECT, RUN_ID, row_of

RANK_SCRIPT = Path(__file__).with_name("chaos_rank.py")
FRESH_RANK = 99
#: What happens to agent or server, and how often.
FAULTS = {
    "kill agent": 10,
    "kill agent during start": 4,
    "terminate agent": 2,
    "stop agent for a while": 2,
    "kill server": 4,
    "kill agent and server": 2,
}


@dataclass
class Options:
    """How much chaos."""

    rows: int = 100_000  # in all
    kills: int = 20
    ranks: int = 4
    seed: int = 1
    upload_timeout_s: float = 120.0


@dataclass
class Report:
    """What was found."""

    seed: int
    returned: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    out_of_order: int = 0
    fresh_rows: int = 0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    logging_s: float = 0.0
    recovery_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        wrong = self.lost + self.doubled + self.changed + self.out_of_order
        return not wrong and self.returned > 0 and self.fresh_rows == 10


class Chaos:
    """One node with its ranks, in a directory of its own."""

    def __init__(self, directory: Path, options: Options) -> None:
        self.directory = directory
        self.options = options
        self.chance = random.Random(options.seed)
        self.report = Report(options.seed)
        self.data = directory / "data"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_"))},
            "TRACKD_DIR": str(self.data),
            "TRACKD_IDLE_TIMEOUT": "600",
        }
        self.agent_command = [sys.executable, "-m", "trackd_agent"]
        self.ranks: dict[int, subprocess.Popen[bytes]] = {}
        self._agents: list[subprocess.Popen[bytes]] = []

    # -- processes -------------------------------------------------------------------------

    def start_rank(self, rank: int, rows: int, *more: str) -> subprocess.Popen[bytes]:
        """Start one rank process."""
        command = [sys.executable, str(RANK_SCRIPT), "--rank", str(rank), "--rows", str(rows)]
        command += ["--side", str(self.side(rank)), *more]
        log = (self.directory / f"rank{rank}.log").open("wb")
        with log:
            return subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def side(self, rank: int) -> Path:
        """Return the side file of a rank."""
        return self.directory / f"rank{rank}.side"

    def returned(self, rank: int) -> int:
        """Return how many rows of a rank were logged, as the rank itself noted."""
        path = self.side(rank)
        return path.stat().st_size // NUMBER_BYTES if path.exists() else 0

    def agent(self) -> psutil.Process | None:
        """Return the living agent."""
        try:
            pid = int((self.data / "agent" / "agent.lock").read_text().split()[0])
            process = psutil.Process(pid)
            return process if self.agent_command[-1] in process.cmdline() else None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def servers(self) -> list[psutil.Process]:
        """Return the embedded server's processes."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline"]):
            command: list[str] = process.info["cmdline"] or []
            if "trackd_server" in command and str(self.data / "server") in command:
                found.append(process)
        return found

    def start_agent(self) -> None:
        """Start an agent, as a service manager would; it leaves at once where one lives."""
        with (self.directory / "agents.log").open("ab") as log:
            self._agents.append(
                subprocess.Popen(
                    self.agent_command,
                    env=self.environment,
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        for process in self._agents:
            process.poll()  # reaps those that have ended

    # -- faults ----------------------------------------------------------------------------

    def fault(self) -> None:
        """Let one thing happen."""
        kind = self.chance.choices(list(FAULTS), list(FAULTS.values()))[0]
        self.report.faults[kind] = self.report.faults.get(kind, 0) + 1
        agent = self.agent()
        if "server" in kind:
            for server in self.servers():
                hit(server, signal.SIGKILL)
        if kind == "stop agent for a while" and agent:
            hit(agent, signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.2, 3))
            hit(agent, signal.SIGCONT)
        elif kind == "terminate agent" and agent:
            hit(agent, signal.SIGTERM)
        elif "kill agent" in kind and agent:
            hit(agent, signal.SIGKILL)
        if kind == "kill agent during start":
            self.start_agent()
            time.sleep(self.chance.uniform(0.1, 1.2))
            self._agents[-1].kill()
        if self.chance.random() < 0.7:
            self.start_agent()  # otherwise a rank does it, after a while

    def kill_everything(self) -> None:
        """All ranks, the agent and the server die at the same moment."""
        victims = [psutil.Process(rank.pid) for rank in self.ranks.values()]
        victims += [agent] if (agent := self.agent()) else []
        victims += self.servers()
        self.chance.shuffle(victims)
        for victim in victims:
            hit(victim, signal.SIGKILL)
        for rank in self.ranks.values():
            rank.wait()

    def clean_up(self) -> None:
        """End what this test started, by process id."""
        for rank in self.ranks.values():
            rank.kill()
            rank.wait()
        if agent := self.agent():
            hit(agent, signal.SIGKILL)
        for server in self.servers():
            hit(server, signal.SIGKILL)
        for process in self._agents:
            process.kill()
            process.wait()

    # -- the story -------------------------------------------------------------------------

    def run(self) -> Report:
        """Do all of it; return what was found."""
        try:
            self._log_under_fire()
            self.kill_everything()
            self._recover()
            self._compare()
            self._log_a_fresh_row()
        finally:
            self.clean_up()
        return self.report

    def _log_under_fire(self) -> None:
        options = self.options
        per_rank = options.rows // options.ranks
        # Bursts at full speed, spread over the time that the faults take.
        pause_s = 2.0 * options.kills / max(1, per_rank / 1000)
        started = time.monotonic()
        for rank in range(options.ranks):
            self.ranks[rank] = self.start_rank(rank, per_rank, "--pause-s", f"{pause_s:.3f}")
        self._wait(lambda: all(self.returned(r) for r in self.ranks), 300, "first rows")
        for _ in range(options.kills):
            time.sleep(self.chance.uniform(0.1, 2.5))
            self.fault()
            dead = [rank for rank, process in self.ranks.items() if process.poll() is not None]
            if dead:
                raise AssertionError(f"ranks {dead} died: {self._tail(f'rank{dead[0]}.log')}")
        # The last blow falls while at least one rank logs without a pause.
        enough = int(per_rank * (PAUSES_UNTIL + 1) / 2)
        self._wait(
            lambda: any(self.returned(r) >= enough for r in self.ranks), 600, "rows", every_s=0.001
        )
        self.report.logging_s = time.monotonic() - started

    def _recover(self) -> None:
        """Start agents that die during recovery, then one that may live."""
        started = time.monotonic()
        for _ in range(3):
            self.start_agent()
            time.sleep(self.chance.uniform(0.2, 2.0))
            self._agents[-1].kill()
            self._agents[-1].wait()
        self.start_agent()
        expected = sum(self.returned(rank) for rank in self.ranks)
        self._wait(
            lambda: len(self._history()) >= expected,
            self.options.upload_timeout_s,
            f"{expected} rows at the server",
            every_s=1.0,
        )
        self.report.recovery_s = time.monotonic() - started

    def _compare(self) -> None:
        """Ask the oracle."""
        report = self.report
        history = self._history()
        for rank in self.ranks:
            returned = self.returned(rank)
            rows = [row for row in history if row.get("rank") == rank]
            numbers = [int(row["n"]) for row in rows]
            counts = Counter(numbers)
            report.returned += returned
            report.stored += len(rows)
            report.lost += len(set(range(returned)) - set(counts))
            report.doubled += sum(count - 1 for count in counts.values())
            report.out_of_order += sum(b <= a for a, b in itertools.pairwise(numbers))
            for row in rows:
                expected = row_of(rank, int(row["n"]))
                if {name: row.get(name) for name in expected} != expected:
                    report.changed += 1
            # One row per rank may be stored although its log() did not come to return.
            report.changed += sum(n > returned for n in counts)

    def _log_a_fresh_row(self) -> None:
        rank = self.start_rank(FRESH_RANK, 10, "--finish")
        rank.wait(300)

        def fresh() -> int:
            return sum(row.get("rank") == FRESH_RANK for row in self._history())

        timeout_s = self.options.upload_timeout_s
        self._wait(lambda: fresh() >= 10, timeout_s, "fresh rows at the server", every_s=1.0)
        self.report.fresh_rows = fresh()

    # -- looking ---------------------------------------------------------------------------

    def _history(self) -> list[dict[str, Any]]:
        """Return the rows of the run as the server has them; none while it does not answer."""
        trackd = Path(sys.executable).with_name("trackd")
        command = [str(trackd), "export", "--json", f"local/{PROJECT}/{RUN_ID}"]
        done = subprocess.run(
            command, env=self.environment, cwd=self.directory, capture_output=True, timeout=600
        )
        if done.returncode:
            return []
        return json.loads(done.stdout)["history"]

    def _wait(self, condition: Any, timeout_s: float, what: str, every_s: float = 0.1) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {timeout_s} s; {self._tail('agents.log')}")
            time.sleep(every_s)

    def _tail(self, name: str) -> str:
        path = self.directory / name
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def hit(process: psutil.Process, number: int) -> None:
    """Send a signal to a process that may be gone already."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--upload-timeout-s", type=float, default=900.0)
    parser.add_argument("--dir", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    options = Options(args.rows, args.kills, args.ranks, args.seed, args.upload_timeout_s)
    directory = args.dir or Path(tempfile.mkdtemp(prefix="trackd-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    report = Chaos(directory.absolute(), options).run()
    print(json.dumps({**asdict(report), "good": report.is_good, "dir": str(directory)}))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
