"""The machines of a run as its page shows them, from what its writers told (`_wandb.e`).

Writers tell what they like: whatever has not the form that is expected is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from trackd_server.domain import merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Machines and characters of a fact that a page shows at most.
MAX_MACHINES = 32
MAX_CHARS = 300
_GIB = 1024**3
#: Small mappings of which all is worth showing, and what they are called.
_WHOLE = {
    "cloud": "Cloud",
    "platform": "Platform",
    "coreweave": "CoreWeave",
    "kubernetes": "Pod",
    "container": "Container",
}


@dataclass(frozen=True)
class Machine:
    """One machine, or several writers on one."""

    host: str
    facts: tuple[tuple[str, str], ...]
    writers: int = 1


def machines_of(config: dict[str, Any]) -> list[Machine]:
    """Return the machines of a run, those first that came first; the same one once.

    Args:
        config: of the run, with what clients keep for themselves.
    """
    found: dict[Machine, Machine] = {}
    for told in _mapping(merge.internal(config).get("e")).values():
        environment = _mapping(told)
        machine = Machine(_text(environment.get("host")) or "unnamed", tuple(_facts(environment)))
        known = found.get(machine)
        found[machine] = replace(known, writers=known.writers + 1) if known else machine
    return list(found.values())[:MAX_MACHINES]


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of a machine, in the order of a data sheet."""
    pairs = (
        ("System", _text(told.get("os"))),
        ("Python", _text(told.get("python"))),
        ("Processor", _processor(told)),
        ("Memory", _size(_mapping(told.get("memory")).get("total"))),
        ("Limits", _limits(_mapping(told.get("cgroup")))),
        *(("GPU", text) for text in _gpus(told)),
        ("CUDA", _text(told.get("cudaVersion"))),
        ("TPU", _accelerator(_mapping(told.get("tpu")), "count")),
        ("Trainium", _accelerator(_mapping(told.get("trainium")), "neuronDeviceCount")),
        ("IPU", _accelerator(_mapping(told.get("ipu")), "device_count", "vendor")),
        ("Apple", _text(_mapping(told.get("apple")).get("name"))),
        *(("Disk", text) for text in _disks(_mapping(told.get("disk")))),
        *((title, _listed(_mapping(told.get(name)))) for name, title in _WHOLE.items()),
        ("Slurm job", _text(_mapping(told.get("slurm")).get("job_id"))),
        ("Git commit", _text(_mapping(told.get("git")).get("commit"))),
    )
    return ((title, text[:MAX_CHARS]) for title, text in pairs if text)


def _processor(told: Mapping[str, Any]) -> str:
    model = _text(_mapping(told.get("cpu")).get("model"))
    cores, threads = _count(told.get("cpu_count")), _count(told.get("cpu_count_logical"))
    counts = f"{cores} cores" if cores else ""
    if threads and threads != cores:
        counts += f" ({threads} threads)"
    return " · ".join(part for part in (model, counts.strip()) if part)


def _limits(cgroup: Mapping[str, Any]) -> str:
    cpus, memory = cgroup.get("cpuLimit"), _size(cgroup.get("memoryLimit"))
    is_number = isinstance(cpus, int | float) and not isinstance(cpus, bool)
    parts = (f"{cpus:g} CPUs" if is_number else "", memory)
    return ", ".join(part for part in parts if part)


def _gpus(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield `8 x NVIDIA H100 (80 GiB)` for each kind of GPU."""
    kinds: dict[str, int] = {}
    for name, memory, gpus in (
        ("name", "memoryTotal", told.get("gpu_nvidia")),
        ("series", "", told.get("gpu_amd")),
    ):
        for gpu in map(_mapping, cast("list[object]", gpus) if isinstance(gpus, list) else ()):
            size = _size(gpu.get(memory))
            kind = f"{_text(gpu.get(name)) or 'GPU'}{f' ({size})' if size else ''}"
            kinds[kind] = kinds.get(kind, 0) + 1
    # Settings may say something else than what was found.
    kind, count = _text(told.get("gpu")), _count(told.get("gpu_count"))
    if kind and (sum(kinds.values()) != count or not any(name.startswith(kind) for name in kinds)):
        kinds = {kind: count or 1}
    return (f"{count} x {kind}" if count > 1 else kind for kind, count in kinds.items())


def _accelerator(told: Mapping[str, Any], count: str, name: str = "name") -> str:
    text, number = _text(told.get(name)), _count(told.get(count))
    return f"{number} x {text}" if text and number > 1 else text


def _disks(disks: Mapping[str, Any]) -> Iterator[str]:
    for path, disk in disks.items():
        used, total = _size(_mapping(disk).get("used")), _size(_mapping(disk).get("total"))
        if used and total:
            yield f"{path}: {used} of {total} used at the start"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(text for value in values.values() if (text := _text(value)))


def _size(value: object) -> str:
    """Return a number of bytes, which comes as text, for people."""
    text = str(value) if isinstance(value, int | str) else ""
    return f"{int(text) / _GIB:,.0f} GiB" if text.isdecimal() and len(text) < 20 else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
