"""Trainium through its real boundary: an executable called neuron-monitor, in all its moods."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.machine import SAMPLES, Machine, needs_samples
from tests.support.neuron import keys, line, runtime

from trackd_agent.monitor import Subject
from trackd_agent.monitor.collectors.trainium import COLLECTOR, TrainiumCollector
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers import Readers, neuron
from trackd_agent.monitor.readers.process import ProcessStat, parse_stat
from trackd_agent.monitor.series import Series
from trackd_agent.probes import neuron as probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.monitor.contract import Readings

REPEAT = 'while :; do cat "$REPORT"; sleep 0.1; done'
#: As long as a machine under load may take for what takes 0.2 s.
WAIT_S = 20.0


class Node:
    """A machine with a tool on PATH, and the collector on it."""

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine = machine
        self.folder = machine.root / "bin"
        self.folder.mkdir()
        self.text = machine.root / "report.jsonl"
        self.subjects: list[Subject] = []
        monkeypatch.setenv("REPORT", str(self.text))
        monkeypatch.setenv("PATH", str(self.folder), prepend=os.pathsep)
        monkeypatch.setattr(neuron, "USUAL_PLACE", "/not/there")
        self.readers = Readers.of(machine.config)
        self.collector = COLLECTOR.make(self.readers)

    def tool(self, script: str, report: str = "") -> None:
        self.text.write_text(report + "\n" if report else "")
        path = self.folder / "neuron-monitor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def rank(self, pid: int, config: str = "", **environment: str) -> Subject:
        subject = Subject(f"rank-{pid}", pid, neuron_config_path=config, environment=environment)
        self.subjects.append(subject)
        return subject

    def collect(self) -> Readings:
        targets = [self.readers.target(subject) for subject in self.subjects]
        return self.collector.collect(targets)

    def sample(self) -> list[dict[str, float]]:
        """Sample once there is a report; the values of each rank."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            try:
                found = self.collect()
            except (NoDataError, neuron.NeuronMonitorError) as reason:
                assert time.monotonic() < deadline_s, reason
                time.sleep(0.02)
            else:
                return [Series().values(found.by_subject.get(s.key, ())) for s in self.subjects]

    def failure(self) -> str:
        """Return with what the collector fails."""
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            try:
                with suppress(NoDataError):
                    self.collect()
            except neuron.NeuronMonitorError as error:
                return str(error)
            time.sleep(0.02)
        raise AssertionError("the collector never failed")

    def tools(self) -> list[int]:
        """Return the processes of the tools that run: children of probes, which are ours."""
        return [tool for parent in _children(os.getpid()) for tool in _children(parent)]

    def wait_for_tools(self, count: int) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while len(self.tools()) != count:
            assert time.monotonic() < deadline_s, f"not {count} tools: {self.tools()}"
            time.sleep(0.02)


def _children(pid: int) -> list[int]:
    """Return the children of a real process; psutil looks at the machine on paper here."""
    children: list[int] = []
    for child in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(OSError):
            if _parent(child) == pid:
                children.append(child)
    return children


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def figures(pid: int) -> ProcessStat:
    return parse_stat(Path(f"/proc/{pid}/stat").read_text())[1]


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def node(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    made = Node(machine, monkeypatch)
    with closing(made.readers):
        yield made


@needs_samples
@pytest.mark.parametrize(
    "case", sorted(path.parent.name for path in SAMPLES.glob("neuron*/case.json"))
)
def test_a_recorded_report_gives_exactly_the_expected_keys(node: Node, case: str) -> None:
    facts = json.loads((SAMPLES / case / "case.json").read_text())
    context = facts["context"]
    node.machine.set_process(context["pid"])
    node.rank(context["pid"], **context.get("env", {}))
    for sample in facts["samples"]:
        node.tool(REPEAT, (SAMPLES / case / sample["input"]).read_text())
        assert node.sample() == [pytest.approx(sample["expect"], rel=1e-9)]
    if "metadata" in facts:
        assert isinstance(node.collector, TrainiumCollector)
        assert node.collector.describe() == facts["metadata"]


def test_each_rank_gets_what_belongs_to_its_processes(node: Node) -> None:
    """Ranks of one node, each with a runtime: in itself, in a child, in nobody we watch."""
    node.machine.set_process(10)
    node.machine.set_process(20, children=(21,))
    node.machine.set_process(21, parent=20)
    node.machine.set_process(30)
    for pid in (10, 20, 30, 40):  # the last one is in no procfs that we see
        node.rank(pid)
    runtimes = [runtime(99, "9"), runtime(21, "2", "3"), runtime(10, "0"), runtime(40, "4")]
    node.tool(REPEAT, line(*runtimes))
    assert node.sample() == [keys(10, "0"), keys(21, "2", "3"), {}, keys(40, "4")]
    assert len(node.tools()) == 1  # one for all of them


def test_the_newest_good_line_counts_whatever_is_around_it(node: Node) -> None:
    """Half lines, broken ones, one of 5 MB, a flood on standard error."""
    node.machine.set_process(10)
    node.rank(10)
    script = """
    printf 'half a li'; echo; echo '{"neuron_runtime_data": [{]}'
    head -c 5000000 /dev/zero | tr '\\\\0' x; echo
    head -c 300000 /dev/zero | tr '\\\\0' e >&2
    cat "$REPORT"
    echo garbage
    sleep 60
    """
    node.tool(script.replace("\\\\", "\\"), line(runtime(10, "0")))
    assert node.sample() == [keys(10, "0")]


def test_a_line_far_above_64_kib_is_read(node: Node) -> None:
    node.machine.set_process(10)
    node.rank(10)
    others = [runtime(i, *map(str, range(64))) for i in range(1000, 1020)]
    text = line(*others, runtime(10, "0"), padding="x" * 1_000_000)
    node.tool(REPEAT, text)
    assert node.sample() == [keys(10, "0")]


def test_without_the_tool_there_is_no_data_and_no_process(node: Node) -> None:
    node.rank(10)
    with pytest.raises(NoDataError, match="there is no neuron-monitor on the agent's PATH"):
        node.collect()
    assert node.tools() == []


def test_our_own_configuration_is_a_file_nobody_else_sees(node: Node) -> None:
    node.rank(10)
    node.machine.set_process(10)
    node.tool(
        f'cat "$2" > "{node.machine.root}/config"; echo "$@" > "$REPORT.args"; {REPEAT}', line()
    )
    node.sample()
    assert json.loads((node.machine.root / "config").read_text()) == probe.CONFIG
    arguments = (node.machine.root / "report.jsonl.args").read_text().split()
    assert arguments[0] == "-c"
    assert arguments[1].startswith("/dev/fd/")  # of the tool alone: there is no name for it


def test_a_configuration_of_the_user_is_given_to_the_tool(node: Node) -> None:
    config = node.machine.root / "my config.json"
    config.write_text('{"period": "2s"}')
    node.rank(10, config=str(config))
    node.rank(11)
    node.tool(f'echo "$2" >> "{node.machine.root}/args"; {REPEAT}', line(runtime(1)))
    node.sample()
    node.wait_for_tools(2)
    assert str(config) in (node.machine.root / "args").read_text().splitlines()


def test_a_configuration_that_is_not_there_is_named(node: Node) -> None:
    node.rank(10, config="/not/there.json")
    node.tool(REPEAT, line())
    text = node.failure()
    assert "x_stats_neuron_monitor_config_path" in text
    assert "'/not/there.json'" in text
    node.rank(11)  # others get theirs
    assert node.sample() == [{}, {}]


def test_more_configurations_than_a_node_can_have_are_refused(node: Node, tmp_path: Path) -> None:
    node.tool(REPEAT, line())
    for number in range(neuron.MAX_TOOLS + 1):
        path = tmp_path / f"{number}.json"
        path.write_text("{}")
        node.rank(number, config=str(path))
    node.sample()
    found = node.collect()
    assert any("one configuration more than the 4" in problem for problem in found.problems)
    assert len(node.tools()) == neuron.MAX_TOOLS


def test_a_tool_that_ends_is_named_with_its_last_words(node: Node) -> None:
    node.rank(10)
    node.tool("echo 'no Neuron driver' >&2; exit 3")
    assert "neuron-monitor" in (text := node.failure())
    assert "ended with status 3: no Neuron driver" in text


def test_a_tool_that_ends_now_and_then_costs_nothing_but_time(node: Node) -> None:
    node.machine.set_process(10)
    node.rank(10)
    node.tool('cat "$REPORT"; exit 1', line(runtime(10, "0")))
    assert node.sample() == [keys(10, "0")]
    deadline_s = time.monotonic() + 3
    problems: set[str] = set()
    while time.monotonic() < deadline_s:
        found = node.collect()
        problems.update(found.problems)
        assert Series().values(found.by_subject["rank-10"]) == keys(10, "0")
        time.sleep(0.05)
    assert len(problems) == 1, "each text is logged once"
    assert "ended with status 1" in problems.pop()


def test_a_tool_that_falls_silent_is_started_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = node.machine.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'neuron' in sys.orig_argv:\n"
        "    from trackd_agent.probes import neuron\n"
        "    neuron.MIN_PATIENCE_S, neuron.PATIENCE_PERIODS = 0.5, 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    node.machine.set_process(10)
    node.rank(10)
    node.tool('echo start >> "$REPORT.starts"; cat "$REPORT"; sleep 60', line(runtime(10, "0")))
    assert node.sample() == [keys(10, "0")]
    assert "no report for" in node.failure()
    assert node.sample() == [keys(10, "0")]
    starts = node.machine.root / "report.jsonl.starts"
    assert starts.read_text().count("start") == 2


def test_a_flood_costs_a_tenth_of_a_core(node: Node) -> None:
    node.machine.set_process(10)
    node.rank(10)
    node.tool('cat "$REPORT"; yes "$(head -c 20000 /dev/zero | tr "\\0" "{")"', line(runtime(10)))
    node.sample()
    (tool,) = node.tools()
    reader = figures(_parent(tool))
    before_s, began_s = reader.cpu_s, time.monotonic()
    time.sleep(1)
    used_s = figures(_parent(tool)).cpu_s - before_s
    assert used_s < 0.4 * (time.monotonic() - began_s)  # on a machine under load
    assert reader.rss_bytes < 60 * 1024**2


def test_the_tool_runs_as_long_as_a_rank_wants_it(node: Node) -> None:
    node.machine.set_process(10)
    first, second = node.rank(10), node.rank(11)
    node.tool(REPEAT, line(runtime(10)))
    node.sample()
    assert isinstance(node.collector, TrainiumCollector)
    node.collector.forget(first)
    time.sleep(0.3)
    assert len(node.tools()) == 1
    node.collector.forget(second)
    node.wait_for_tools(0)
    assert node.sample() == [keys(10), {}]  # and again
    node.readers.close()
    node.wait_for_tools(0)


def test_a_description_waits_for_a_report_and_leaves_no_tool(node: Node) -> None:
    """A run without figures has metadata all the same."""
    assert isinstance(node.collector, TrainiumCollector)
    with pytest.raises(NoDataError, match="there is no neuron-monitor"):
        node.collector.describe()
    hardware = {"neuron_device_count": 16, "neuroncore_per_device_count": None}
    node.tool(f"sleep 0.3; {REPEAT}", line(neuron_hardware_info=hardware))
    trainium = {"name": "Trainium", "vendor": "AWS", "neuronDeviceCount": 16}
    assert node.collector.describe() == {"trainium": trainium}
    node.wait_for_tools(0)


def test_a_description_of_a_silent_tool_gives_up(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neuron, "FIRST_REPORT_S", 0.3)
    node.tool("exec sleep 60")
    with pytest.raises(NoDataError, match="has not reported"):
        node.readers.neuron.hardware()
    node.wait_for_tools(0)
    node.readers.close()
    with pytest.raises(NoDataError, match="the agent ends"):
        node.readers.neuron.hardware()


def test_the_tool_ends_with_the_probe_however_that_ends(node: Node) -> None:
    node.rank(10)
    node.tool("exec sleep 60")
    with suppress(NoDataError):
        node.collect()
    (tool,) = node.tools()
    os.kill(_parent(tool), signal.SIGKILL)
    deadline_s = time.monotonic() + WAIT_S
    while not _has_ended(tool):
        assert time.monotonic() < deadline_s, "the tool runs on without anybody to read it"
        time.sleep(0.02)
