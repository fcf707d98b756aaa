"""Where a rank runs, as a procfs, a sysfs and the files of its container tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.machine import MEMORY_TOTAL_BYTES, SAMPLES, needs_samples

from trackd_agent.monitor import MonitorConfig, Subject
from trackd_agent.monitor.readers import surroundings as reading
from trackd_agent.monitor.surroundings import Surroundings
from trackd_agent.monitor.surroundings.machine import model_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.machine import Machine

MACHINE = {"cpu_count", "cpu_count_logical", "memory", "cpu"}
ID = "0123456789abcdef" * 4
UID = "11111111-2222-3333-4444-555555555555"

#: What the rank sees as its root folder, in the tree of the machine.
RANK_ROOT = "proc/42/root"


def put(machine: Machine, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = machine.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def described(machine: Machine, **files: str) -> dict[str, Any]:
    """Return what is said of process 42 with these files in its folder of procfs."""
    put(machine, {f"proc/42/{name.replace('__', '/')}": text for name, text in files.items()})
    return Surroundings(machine.config).describe_for(Subject("me", 42))


def test_a_plain_process_of_a_plain_machine_has_nothing_to_tell(machine: Machine) -> None:
    mounts = "21 1 254:0 / / rw - ext4 /dev/vda rw\n"
    assert described(machine, cgroup="0::/user.slice/a.scope\n", mountinfo=mounts) == {}
    assert set(Surroundings(machine.config).describe()) <= MACHINE


def test_a_process_that_may_not_be_looked_at_has_nothing_to_tell(machine: Machine) -> None:
    assert Surroundings(machine.config).describe_for(Subject("me", 4_000_000)) == {}


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope", {"runtime": "docker", "id": ID}),
        (f"4:memory:/docker/{ID}\n0::/", {"runtime": "docker", "id": ID}),
        (f"0::/machine.slice/libpod-{ID}.scope/container", {"runtime": "podman", "id": ID}),
        (f"0::/k.slice/cri-containerd-{ID}.scope", {"runtime": "containerd", "id": ID}),
        (f"0::/k.slice/crio-{ID}.scope", {"runtime": "cri-o", "id": ID}),
        (f"0::/elsewhere/{ID}", {"id": ID}),
        ("0::/lxc.payload.worker/init.scope", {"runtime": "lxc", "id": "worker"}),
    ],
)
def test_a_container_is_known_by_its_cgroup(
    machine: Machine, cgroup: str, container: dict[str, str]
) -> None:
    assert described(machine, cgroup=cgroup + "\n") == {"container": container}


def test_inside_a_cgroup_namespace_the_mounts_tell(machine: Machine) -> None:
    mounts = f"9 8 254:1 /var/lib/docker/containers/{ID}/hosts /etc/hosts rw - ext4 /dev/vda rw\n"
    told = described(machine, cgroup="0::/\n", mountinfo=mounts, root__0="")
    assert told == {"container": {"runtime": "docker", "id": ID}}


def test_marks_of_runtimes_and_variables_tell_what_is_left(machine: Machine) -> None:
    env = 'engine="podman-4.9"\nid="abc"\nimage="docker.io/x:1"\nrootless=1\n'
    put(machine, {f"{RANK_ROOT}/run/.containerenv": env})
    told = described(machine, cgroup="0::/\n")
    assert told == {"container": {"runtime": "podman", "id": "abc", "image": "docker.io/x:1"}}
    (machine.root / RANK_ROOT / "run/.containerenv").unlink()
    put(machine, {f"{RANK_ROOT}/.dockerenv": ""})
    assert described(machine) == {"container": {"runtime": "docker"}}
    environ = "A=1\0APPTAINER_CONTAINER=/images/train.sif\0NOEQUALS\0"
    told = described(machine, environ=environ)
    assert told == {"container": {"runtime": "apptainer", "image": "/images/train.sif"}}


def test_a_pod_is_known_from_inside_and_from_the_node(machine: Machine) -> None:
    inside = "KUBERNETES_SERVICE_HOST=10.0.0.1\0HOSTNAME=trainer-0\0NODE_NAME=gpu-7\0"
    put(
        machine,
        {f"{RANK_ROOT}/var/run/secrets/kubernetes.io/serviceaccount/namespace": "research\n"},
    )
    assert described(machine, environ=inside, cgroup="0::/\n") == {
        "kubernetes": {"pod": "trainer-0", "namespace": "research", "node": "gpu-7"}
    }
    slice_ = f"/kubepods.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
    told = described(machine, environ="", cgroup=f"0::{slice_}/cri-containerd-{ID}.scope\n")
    assert told["container"] == {"runtime": "containerd", "id": ID}
    assert told["kubernetes"]["podUid"] == UID


@pytest.mark.parametrize(
    ("environ", "platform"),
    [
        ("TRAINING_JOB_NAME=job-1", {"name": "sagemaker", "job": "job-1"}),
        ("RUNPOD_POD_ID=pod", {"name": "runpod", "job": "pod"}),
        ("COLAB_RELEASE_TAG=release-colab", {"name": "colab"}),
        ("PBS_JOBID=12.server", {"name": "pbs", "job": "12.server"}),
    ],
)
def test_a_platform_is_known_by_its_variables(
    machine: Machine, environ: str, platform: dict[str, str]
) -> None:
    assert described(machine, environ=environ + "\0") == {"platform": platform}


@pytest.mark.parametrize(
    ("firmware", "cloud"),
    [
        (
            {
                "sys_vendor": "Amazon EC2",
                "product_name": "p5.48xlarge",
                "board_asset_tag": "i-0123456789",
            },
            {"provider": "aws", "instanceType": "p5.48xlarge", "instanceId": "i-0123456789"},
        ),
        ({"sys_vendor": "Xen", "product_uuid": "EC2E1916-9099"}, {"provider": "aws"}),
        ({"sys_vendor": "Google", "product_name": "Google Compute Engine"}, {"provider": "gcp"}),
        ({"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}, {"provider": "azure"}),
        ({"sys_vendor": "Microsoft Corporation"}, {}),  # Hyper-V anywhere
        ({"sys_vendor": "Hetzner", "product_name": "vServer"}, {"provider": "hetzner"}),
        ({"sys_vendor": "Dell Inc.", "product_name": "PowerEdge"}, {}),
    ],
)
def test_a_cloud_is_known_by_its_firmware(
    machine: Machine, firmware: dict[str, str], cloud: dict[str, str]
) -> None:
    put(machine, {f"sys/class/dmi/id/{name}": f"{text}\n" for name, text in firmware.items()})
    assert Surroundings(machine.config).describe().get("cloud", {}) == cloud


def test_the_machine_is_told_whole_whatever_share_a_container_has(machine: Machine) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 9654  \n\nprocessor\t: 1\nmodel name\t: x\n"
    put(machine, {"proc/cpuinfo": cpuinfo})
    told = Surroundings(machine.config).describe()
    assert told["memory"] == {"total": str(MEMORY_TOTAL_BYTES)}
    assert told["cpu"] == {"model": "AMD EPYC 9654"}


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n", "Neoverse-V2"),
        ("processor\t: 0\nCPU implementer\t: 0x99\nCPU part\t: 0x1\n", ""),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("model name\t:\n", ""),
        ("", ""),
    ],
)
def test_processors_without_a_name_are_known_by_their_core(cpuinfo: str, model: str) -> None:
    assert model_of(cpuinfo) == model


@needs_samples
def test_limits_of_the_cgroup_are_told_as_text_and_number(machine: Machine) -> None:
    machine.set_process(42)
    machine.put_in_cgroup(42, SAMPLES / "cgroup_v2_limits" / "t0")
    told = Surroundings(machine.config).describe_for(Subject("me", 42))
    assert told == {"cgroup": {"cpuLimit": 1.5, "memoryLimit": "8589934592"}}
    unlimited = Subject("me", 42, use_cgroup=False)
    assert Surroundings(machine.config).describe_for(unlimited) == {}


def test_endless_files_and_odd_bytes_are_read_in_part(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine.proc / "42"
    folder.mkdir()
    os.symlink("/dev/zero", folder / "mountinfo")
    (folder / "environ").write_bytes(b"\xff\xfe=\x80\0PBS_JOBID=1\0" + b"x" * reading.MAX_BYTES)
    subject = Subject("me", 42, use_cgroup=False)
    told = Surroundings(machine.config).describe_for(subject)
    assert told == {"platform": {"name": "pbs", "job": "1"}}


def test_it_reads_this_very_process() -> None:
    told = Surroundings(MonitorConfig()).describe_for(Subject("me", os.getpid()))
    assert set(told) <= {"container", "kubernetes", "platform", "cgroup"}
