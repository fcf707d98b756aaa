"""AWS's `neuron-monitor`, kept running; of its reports (a line of JSON each) the newest counts.

Here and not in the agent, because a report of a big machine is long and comes every second:
nobody waits while it is parsed, and what of it is of interest is a small part. The tool ends with
this process in any case. Format: the user guide of neuron-monitor, in AWS's Neuron documentation.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import re
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the tool is asked to report where the user has no configuration: as the W&B client does.
CONFIG = {
    "period": "1s",
    "neuron_runtimes": [
        {
            "tag_filter": ".*",
            "metrics": [
                {"type": "neuroncore_counters"},
                {"type": "memory_used"},
                {"type": "neuron_runtime_vcpu_usage"},
            ],
        }
    ],
    "system_metrics": [
        {"type": "vcpu_usage"},
        {"type": "memory_info"},
        {"type": "neuron_hw_counters"},
    ],
}
#: Longest line that is looked at. Seen: 64 KiB with 700 figures.
MAX_LINE_BYTES = 4 * 1024**2
#: Largest extract of a report, as JSON; the agent takes 1 MiB.
MAX_EXTRACT_BYTES = 512 * 1024
#: A report is believed, and the next one waited for, so many of the tool's periods …
PATIENCE_PERIODS = 3.0
#: … and this long at least, in seconds.
MIN_PATIENCE_S = 15.0
#: Share of a core that a tool which writes without a pause can make us spend.
_BUSY_SHARE = 0.1
_MAX_STDERR_BYTES = 500
#: Longest name of a core or of a use of memory; longer ones are left out.
_MAX_NAME = 128
#: How long the end of standard error is waited for when the tool has ended.
_LAST_WORDS_S = 0.5
_PARTS = ("neuron_runtime_data", "system_data", "neuron_hardware_info")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class NeuronMonitorError(Exception):
    """The tool cannot be started, ended, or reports nothing."""


class NeuronMonitor:
    """The running tool and its newest report."""

    def __init__(self, command: str, config_path: str) -> None:
        """Start the tool.

        Raises:
            NeuronMonitorError: It cannot be started.
        """
        self._patience_s = patience_s(config_path)
        self._report: dict[str, Any] | None = None
        self._reported_s = self._started_s = time.monotonic()
        self._is_told = True  # of the newest report
        self._ended = ""
        self._refused = ""  # why the newest line that is no report is none
        self._stderr = b""
        self._tool = _start(command, config_path)
        self._listener = threading.Thread(target=self._read_stderr, daemon=True)
        self._listener.start()
        threading.Thread(target=self._read_reports, daemon=True).start()

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the newest `report` (None before the first), its `age_s` and `patience_s`.

        Raises:
            NeuronMonitorError: The tool ended, or has not reported for longer than its patience.
        """
        age_s = time.monotonic() - self._reported_s
        ended = self._ended
        if ended and self._is_told:
            raise NeuronMonitorError(ended)
        if age_s > self._patience_s:
            raise NeuronMonitorError(
                f"no report for {age_s:.0f} s{self._moan()}; is the Neuron driver well?"
            )
        self._is_told = True
        return {"report": self._report, "age_s": age_s, "patience_s": self._patience_s}

    def describe(self) -> dict[str, Any]:
        """Return nothing: what the devices are is in each report."""
        return {}

    def _read_reports(self) -> None:
        assert self._tool.stdout is not None
        for line in lines(self._tool.stdout):
            started_s = time.monotonic()
            try:
                report = extract(line)
            except (ValueError, RecursionError) as error:
                self._refused = f"{error}, in {line[:80]!r}"
            else:
                self._report, self._reported_s, self._is_told = report, time.monotonic(), False
            worked_s = time.monotonic() - started_s
            time.sleep(max(0.005, worked_s * (1 / _BUSY_SHARE - 1)))
        status = self._tool.wait()
        self._listener.join(_LAST_WORDS_S)  # its children may keep the pipe open
        self._ended = f"it ended with status {status}{self._moan()}"

    def _read_stderr(self) -> None:
        assert self._tool.stderr is not None
        while chunk := os.read(self._tool.stderr.fileno(), 65536):
            self._stderr = (self._stderr + chunk)[-_MAX_STDERR_BYTES:]
            time.sleep(0.005)  # a flood goes at 13 MB/s at most

    def _moan(self) -> str:
        """Return what the tool said besides reports, to be added to a reason."""
        said = self._stderr.decode(errors="replace").strip() or self._refused
        return f": {said}" if said else ""


def open(options: dict[str, Any]) -> NeuronMonitor:
    """Start the tool `options["command"]` with the configuration `options["config_path"]`."""
    return NeuronMonitor(options["command"], options["config_path"])


def lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream; those that are too long are left out."""
    while line := stream.readline(MAX_LINE_BYTES):
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:  # the last may lack its end
            yield line
            continue
        while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            time.sleep(0.005)
        yield b"(a line of more than %d bytes)" % MAX_LINE_BYTES


def extract(line: bytes) -> dict[str, Any]:
    """Return what is of interest in a report: `runtimes`, in their order, and `hardware`.

    Each runtime has `pid`, `utilization` (% by core), `host_bytes` and `device_bytes` (absent
    where the report has none), `host_usage_bytes` and `core_usage_bytes` (by core, by use).

    Raises:
        ValueError: It is no report.
    """
    report: object = json.loads(line, parse_constant=_refuse)
    if not isinstance(report, dict) or not any(part in report for part in _PARTS):
        raise ValueError("a line that is no report")
    fields = cast("dict[str, Any]", report)
    found = {
        "runtimes": [_runtime(entry) for entry in map(_object, _list(fields, _PARTS[0])) if entry],
        "hardware": _numbers(_object(fields.get("neuron_hardware_info"))),
    }
    if len(json.dumps(found)) > MAX_EXTRACT_BYTES:
        raise ValueError("a report with too many figures")
    return found


def patience_s(config_path: str) -> float:
    """Return how long a report is believed, from the period that a configuration asks for."""
    period_s = 0.0
    with contextlib.suppress(OSError, ValueError, RecursionError):
        text = _read(config_path) if config_path else json.dumps(CONFIG)
        period = str(_object(json.loads(text)).get("period", ""))
        period_s = sum(float(n) * _UNITS_S[unit] for n, unit in _DURATION.findall(period))
    return max(MIN_PATIENCE_S, PATIENCE_PERIODS * period_s)


def _read(path: str) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY), encoding="utf-8") as file:
        return file.read(MAX_LINE_BYTES)


def _start(command: str, config_path: str) -> subprocess.Popen[bytes]:
    # A file that nobody else sees and that is gone with the last process that has it open.
    config = os.memfd_create("neuron_monitor_config.json", 0)
    try:
        os.write(config, json.dumps(CONFIG).encode())
        os.lseek(config, 0, os.SEEK_SET)
        return subprocess.Popen(
            [command, "-c", config_path or f"/dev/fd/{config}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[config],
            preexec_fn=_end_with_parent,  # started by the main thread, while there is no other
        )
    except OSError as error:
        raise NeuronMonitorError(f"{command} does not start: {error.strerror}") from error
    finally:
        os.close(config)


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _runtime(entry: dict[str, Any]) -> dict[str, Any]:
    report = _object(entry.get("report"))
    in_use = _object(_object(report.get("neuroncore_counters")).get("neuroncores_in_use"))
    used = _object(_object(report.get("memory_used")).get("neuron_runtime_used_bytes"))
    breakdown = _object(used.get("usage_breakdown"))
    cores = _object(breakdown.get("neuroncore_memory_usage"))
    utilization = {
        core: _object(facts).get("neuroncore_utilization") for core, facts in in_use.items()
    }
    totals = {"host_bytes": used.get("host"), "device_bytes": used.get("neuron_device")}
    return {
        "pid": _number(entry.get("pid")),
        "utilization": _numbers(utilization),
        "host_usage_bytes": _numbers(_object(breakdown.get("host"))),
        "core_usage_bytes": {
            core: _numbers(_object(facts))
            for core, facts in cores.items()
            if len(core) <= _MAX_NAME
        },
        **_numbers(totals),
    }


def _numbers(facts: dict[str, Any]) -> dict[str, float]:
    """Return the finite numbers with names of a length that a key can have."""
    numbers = {name: _number(value) for name, value in facts.items() if len(name) <= _MAX_NAME}
    return {name: value for name, value in numbers.items() if value is not None}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
