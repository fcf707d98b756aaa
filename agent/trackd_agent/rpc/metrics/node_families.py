"""The node and its ranks as metric families: keys of system metrics become names and labels.

`gpu.0.powerWatts` becomes `trackd_node_gpu_power_watts{gpu="0"}`, `disk./data.usageGB` becomes
`trackd_node_disk_usage_bytes{path="/data"}`: what is in the middle of a key is a label, the rest
in snake case the name, MB and GB are bytes. What belongs to a rank begins with `trackd_rank_` and
carries its run; what the agent's own process uses begins with `trackd_agent_`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trackd_agent.rpc.metrics.exposition import Family
from trackd_proto.wandb_http import LABEL_SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd_agent.monitor import NodeView
    from trackd_agent.runs.options import RunSnapshot

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNFIT = re.compile(r"[^a-zA-Z0-9]+")
#: Of a device; a slice of a GPU (MIG) is called `0:1`.
_INDEX = re.compile(r"\d+(?::\d+)?")
#: Families of keys whose second part is a device: `gpu.0.temp`.
_DEVICES = ("gpu", "tpu", "ipu", "trn", "cpu")
#: Begins keys that come from other exporters: Prometheus reads those itself.
_FOREIGN = "openmetrics."
#: Of what there is by device as well; and a figure that has another name, too.
_SUMS = ("disk.in", "disk.out")
_SECOND_NAME = ".unCorrectedMemoryErrors"
#: Keys that only say what they measure to those who know; and units that a name must tell.
_NAMES = {
    "cpu": "cpu_percent",
    "cpu.cpu_percent": "cpu_core_percent",
    "system.load1": "load1",
    "system.load5": "load5",
    "system.load15": "load15",
    "system.uptime": "uptime_seconds",
    "gpu.gpu": "gpu_utilization_percent",
    "gpu.memory": "gpu_memory_activity_percent",
    "gpu.memoryAllocated": "gpu_memory_allocated_percent",
    "gpu.temp": "gpu_temperature_celsius",
    "gpu.smClock": "gpu_sm_clock_mhz",
    "gpu.memoryClock": "gpu_memory_clock_mhz",
    "gpu.graphicsClock": "gpu_graphics_clock_mhz",
    "gpu.fanSpeed": "gpu_fan_speed_percent",
    "gpu.encoderUtilization": "gpu_encoder_utilization_percent",
    "gpu.pcieTxBytes": "gpu_pcie_tx_bytes_per_second",
    "gpu.pcieRxBytes": "gpu_pcie_rx_bytes_per_second",
    "gpu.nvlinkTxBytes": "gpu_nvlink_tx_bytes_per_second",
    "gpu.nvlinkRxBytes": "gpu_nvlink_rx_bytes_per_second",
    # AMD's word for what NVIDIA calls memory utilization, and what it may be overdriven by.
    "gpu.memoryReadWriteActivity": "gpu_memory_activity_percent",
    "gpu.memoryOverDrive": "gpu_memory_overdrive_percent",
    "gpu.freq": "gpu_clock_mhz",
    "cpu.ecpu_freq": "cpu_ecpu_clock_mhz",
    "cpu.pcpu_freq": "cpu_pcpu_clock_mhz",
    "cpu.avg_temp": "cpu_temperature_celsius",
    "ane.power": "ane_power_watts",
    "memory.used": "memory_used_bytes",
    "swap.used": "swap_used_bytes",
    "proc.memory.availableMB": "memory_available_bytes",
    "network.sent": "network_sent_bytes",
    "network.recv": "network_received_bytes",
    "network.tcpRetransmits": "network_tcp_retransmits",
    "disk.in": "disk_read_bytes",
    "disk.out": "disk_written_bytes",
}
#: What only grows.
_COUNTERS = frozenset(
    {
        "network_sent_bytes",
        "network_received_bytes",
        "network_tcp_retransmits",
        "disk_read_bytes",
        "disk_written_bytes",
        "proc_memory_oom_kills",
        "gpu_energy_joules",
    }
)
_UNITS = ("seconds", "bytes", "joules", "watts", "celsius", "percent")
_SCALES = {"MB": 1024.0**2, "GB": 1024.0**3}
#: Keys in MB that do not say so.
_IN_MB = ("disk.in", "disk.out")


class Series(NamedTuple):
    """What a key of a system metric is called here."""

    name: str
    labels: dict[str, str]
    scale: float = 1.0


def series_of(key: str) -> Series | None:
    """Return name and labels for a key; None: it is left out (a sum, another exporter's)."""
    key, _, label = key.partition(LABEL_SEPARATOR)
    labels = {"node": label} if label else {}
    if key.startswith(_FOREIGN) or key in _SUMS or key.endswith(_SECOND_NAME):
        return None
    parts = key.split(".")
    if parts[0] == "disk" and len(parts) > 2:
        device = ".".join(parts[1:-1])
        labels |= {"path" if parts[-1].startswith("usage") else "device": device}
        plain = f"disk.{parts[-1]}"
    else:
        place = 2 if parts[:2] == ["gpu", "process"] else 1
        if parts[0] in _DEVICES and len(parts) > place + 1 and _INDEX.fullmatch(parts[place]):
            labels |= {parts[0]: parts.pop(place)}
        plain = ".".join(parts)
    scale = _SCALES.get("MB" if plain in _IN_MB else plain[-2:], 1.0)
    if named := _NAMES.get(plain.replace("gpu.process.", "gpu.")):
        name = named.replace("gpu_", "gpu_process_", 1) if "gpu.process." in plain else named
        return Series(name, labels, scale)
    if scale != 1:
        plain = f"{plain[:-2]}Bytes"
    return Series(_snake(plain), labels, scale)


def _snake(key: str) -> str:
    return _UNFIT.sub("_", _CAMEL.sub("_", key)).strip("_").lower()


def node_families(view: NodeView, runs: Sequence[RunSnapshot]) -> Iterable[Family]:
    """Return the families of node, agent process and ranks, by name."""
    families: dict[str, Family] = {}
    for key, value in view.node.items():
        is_own = key == "cpu" or (key.startswith("proc.") and "available" not in key)
        _add(families, "trackd_agent_" if is_own else "trackd_node_", key, value, {})
    for run in runs:
        for writer in run.writers:
            labels = {
                "entity": run.entity,
                "project": run.project,
                "run_id": run.run_id,
                "label": writer.label,
            }
            for key, value in view.ranks.get(writer.producer, {}).items():
                _add(families, "trackd_rank_", key, value, labels)
    happened = Family("trackd_node_events", "counter", "What happened to devices, by kind.")
    for key, count in sorted(view.event_counts.items()):
        device = {"device": key.rpartition(".")[0]} if "." in key else {}
        happened.add(count, event=key.rpartition(".")[2], **device)
    return (*(families[name] for name in sorted(families)), happened)


def _add(
    families: dict[str, Family], prefix: str, key: str, value: float, labels: dict[str, str]
) -> None:
    series = series_of(key)
    if series is None or not series.name:
        return
    name = prefix + series.name
    if name not in families:
        kind = "counter" if series.name in _COUNTERS else "gauge"
        unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
        stem = key.partition(LABEL_SEPARATOR)[0]
        families[name] = Family(name, kind, f"What runs record as {stem!r}.", unit)
    families[name].samples.append(({**labels, **series.labels}, value * series.scale))
