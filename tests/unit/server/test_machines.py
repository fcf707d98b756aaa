"""The machines of a run as its page shows them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd_server.api.machines import MAX_CHARS, MAX_MACHINES, machines_of

H100 = {"name": "NVIDIA H100 80GB HBM3", "memoryTotal": "85899345920"}
NODE = {
    "host": "gpu-7",
    "os": "Linux-6.8",
    "python": "CPython 3.12.1",
    "cpu": {"model": "AMD EPYC 9654"},
    "cpu_count": 96,
    "cpu_count_logical": 192,
    "memory": {"total": "811748818944"},
    "cgroup": {"cpuLimit": 12.5, "memoryLimit": "68719476736"},
    "gpu": "NVIDIA H100 80GB HBM3",
    "gpu_count": 8,
    "gpu_nvidia": [H100] * 8,
    "cudaVersion": "12.8",
    "disk": {"/": {"total": "1099511627776", "used": "107374182400"}},
    "cloud": {"provider": "aws", "instanceType": "p5.48xlarge"},
    "slurm": {"job_id": "7", "nodelist": "gpu-7"},
    "git": {"commit": "abc"},
}


def config(*told: Any) -> dict[str, Any]:
    return {"_wandb": {"value": {"e": {f"w{i}": one for i, one in enumerate(told)}}}}


def facts(told: Any) -> list[tuple[str, str]]:
    (machine,) = machines_of(config(told))
    return list(machine.facts)


def test_a_node_reads_like_a_data_sheet() -> None:
    assert facts(NODE) == [
        ("System", "Linux-6.8"),
        ("Python", "CPython 3.12.1"),
        ("Processor", "AMD EPYC 9654 · 96 cores (192 threads)"),
        ("Memory", "756 GiB"),
        ("Limits", "12.5 CPUs, 64 GiB"),
        ("GPU", "8 x NVIDIA H100 80GB HBM3 (80 GiB)"),
        ("CUDA", "12.8"),
        ("Disk", "/: 100 GiB of 1,024 GiB used at the start"),
        ("Cloud", "aws, p5.48xlarge"),
        ("Slurm job", "7"),
        ("Git commit", "abc"),
    ]


@pytest.mark.parametrize(
    ("told", "gpus"),
    [
        ({"gpu_nvidia": [H100, {"name": "A100"}]}, ["NVIDIA H100 80GB HBM3 (80 GiB)", "A100"]),
        ({"gpu_amd": [{"series": "MI300X"}] * 2, "gpu": "MI300X", "gpu_count": 2}, ["2 x MI300X"]),
        ({"gpu": "mine", "gpu_count": 3, "gpu_nvidia": [H100]}, ["3 x mine"]),
        ({"gpu": "mine"}, ["mine"]),
        ({"tpu": {"name": "v5p", "count": 4}}, []),
    ],
)
def test_gpus_are_counted_by_kind_and_settings_count_more(told: Any, gpus: list[str]) -> None:
    assert [text for title, text in facts(told) if title == "GPU"] == gpus


def test_other_accelerators_are_named() -> None:
    told = {
        "tpu": {"name": "v5p", "count": 4},
        "trainium": {"name": "Trainium", "neuronDeviceCount": 16},
        "ipu": {"device_count": 4, "vendor": "Graphcore"},
    }
    assert facts(told) == [
        ("TPU", "4 x v5p"),
        ("Trainium", "16 x Trainium"),
        ("IPU", "4 x Graphcore"),
    ]


def test_ranks_of_one_machine_are_shown_once_and_no_page_gets_too_long() -> None:
    (machine,) = machines_of(config(*[NODE] * 8))
    assert (machine.host, machine.writers) == ("gpu-7", 8)
    crowd = [{"host": f"h{i}", "os": "x" * 10_000} for i in range(MAX_MACHINES + 5)]
    found = machines_of(config(*crowd))
    assert len(found) == MAX_MACHINES
    assert found[0].facts == (("System", "x" * MAX_CHARS),)


@pytest.mark.parametrize("odd", [{}, {"_wandb": 3}, {"_wandb": {"value": {"e": [1]}}}, config(3)])
def test_a_run_without_machines_has_none(odd: dict[str, Any]) -> None:
    assert all(machine.facts == () for machine in machines_of(odd))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*NODE, "gpu_amd", "tpu", "ipu", "apple"]), JSON))
def test_whatever_a_writer_tells_the_page_can_be_made(told: dict[str, Any]) -> None:
    for machine in machines_of(config(told)):
        assert all(isinstance(text, str) and text for _, text in machine.facts)
