"""Reports of AWS's `neuron-monitor`: one running tool for each configuration that ranks ask for.

The tool runs in a probe (`trackd_agent.probes.neuron`), from when the first rank wants it until
the last one that does is gone. A tool that ends or hangs is started again with growing pauses;
its last report counts meanwhile, for as long as it is believed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.probe import ProbeError, ProbeReader
from trackd_agent.monitor.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Where AWS's packages put the tool; many images do not have this folder on PATH.
USUAL_PLACE = "/opt/aws/neuron/bin/neuron-monitor"
#: Tools that may run at a time: ranks of one node seldom have even two configurations.
MAX_TOOLS = 4
#: How long a description of the machine waits for a first report, which comes after a second.
FIRST_REPORT_S = 5.0
_LOOK_S = 0.1
#: Stands for the subjects of a tool that runs for a description alone.
_DESCRIPTION = "description of the machine"


class NeuronMonitorError(Exception):
    """There is no report, and there should be one; the text says why."""


class NeuronReport(NamedTuple):
    """What `trackd_agent.probes.neuron.extract` found in a report."""

    runtimes: list[dict[str, Any]]
    hardware: Mapping[str, float]
    problem: str = ""  # why there is no newer one; empty: this is the newest


class NeuronReader:
    """Reads reports and keeps the tools."""

    def __init__(self, command: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is started before the first report is wanted.

        Args:
            command: The tool. Default: `neuron-monitor` on PATH, else where AWS puts it.
            clock: Monotonic seconds.
        """
        self._command = command
        self._clock = clock
        self._tools = Shared(self._new_tool)
        self._is_closed = False

    def find(self) -> str:
        """Return the path of the tool.

        Raises:
            NoDataError: There is none.
        """
        if self._is_closed:
            raise NoDataError("the agent ends")
        for candidate in (self._command,) if self._command else ("neuron-monitor", USUAL_PLACE):
            if path := shutil.which(candidate):
                return path
        if self._command:
            raise NoDataError(
                f"monitor.neuron_monitor: {self._command!r} is no program; correct the path, or "
                "leave it out"
            )
        raise NoDataError(
            "no Trainium or Inferentia: there is no neuron-monitor on the agent's PATH or at "
            f"{USUAL_PLACE}"
        )

    def report(self, config_path: str, subjects: Iterable[str]) -> NeuronReport:
        """Return the newest report of the tool with this configuration (empty: ours).

        It runs until all subjects that ever asked for it are forgotten.

        Raises:
            NoDataError: There is no tool, or it has not reported yet.
            NeuronMonitorError: It failed; or the configuration is not there.
        """
        self.find()
        if config_path and not os.path.isfile(config_path):  # noqa: PTH113 (hot, and text)
            raise NeuronMonitorError(
                f"x_stats_neuron_monitor_config_path: there is no file {config_path!r}; "
                "write one or leave the setting out"
            )
        if self._tools.peek(config_path) is None and len(self._tools) >= MAX_TOOLS:
            raise NeuronMonitorError(
                f"x_stats_neuron_monitor_config_path: {config_path!r} is one configuration more "
                f"than the {MAX_TOOLS} that a node can have at a time; let ranks share them"
            )
        return self._tools.get(config_path, subjects).report()

    def hardware(self) -> Mapping[str, float]:
        """Return what a tool reported about the machine's devices; waits for a first report.

        Raises:
            NoDataError: There is no tool, or it does not report for `FIRST_REPORT_S`.
            NeuronMonitorError: It failed.
        """
        until_s = self._clock() + FIRST_REPORT_S
        try:
            while True:
                if known := [tool.last for tool in self._tools.values() if tool.last is not None]:
                    return known[0].hardware
                self.find()
                with contextlib.suppress(NoDataError):  # not yet
                    return self.report("", (_DESCRIPTION,)).hardware
                if self._clock() >= until_s:
                    raise NoDataError(f"neuron-monitor has not reported for {FIRST_REPORT_S:g} s")
                time.sleep(_LOOK_S)
        finally:
            self.forget(_DESCRIPTION)

    def forget(self, subject: str) -> None:
        """End the tools that only this subject wanted, without waiting for it."""
        for tool in self._tools.forget(subject):
            threading.Thread(target=tool.close, name="neuron-monitor-end", daemon=True).start()

    def close(self) -> None:
        """End all tools, and start no more."""
        self._is_closed = True
        for tool in self._tools.clear():
            tool.close()

    def _new_tool(self, config_path: str) -> _Tool:
        return _Tool(self.find(), config_path, self._clock)


class _Tool:
    """One running tool."""

    def __init__(self, command: str, config_path: str, clock: Callable[[], float]) -> None:
        self.last: NeuronReport | None = None
        self._probe = ProbeReader("neuron", {"command": command, "config_path": config_path})
        self._clock = clock
        self._expires_s = float("-inf")

    def report(self) -> NeuronReport:
        """Return the newest report, or the last one while it is believed."""
        try:
            answer = self._probe.ask()
        except ProbeError as error:
            if self.last is None or self._clock() >= self._expires_s:
                raise NeuronMonitorError(f"neuron-monitor: {error}") from error
            return self.last._replace(problem=str(error))
        if answer["report"] is not None:
            self.last = NeuronReport(**answer["report"])
            self._expires_s = self._clock() + answer["patience_s"] - answer["age_s"]
        if self.last is None or self._clock() >= self._expires_s:
            raise NoDataError("neuron-monitor has not reported yet")
        return self.last

    def close(self) -> None:
        """End it."""
        self._probe.close()
