"""Reading the machine: the only I/O of the monitor, made of blocking calls for worker threads.

A reader returns facts and knows no key, no subject and no tick. Parsing is a pure function of
text, apart from reading. The roots of /proc and /sys are given, so that all of it runs on
fixture trees. Only collectors and the sampler call this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_agent.monitor.readers.amd import AmdReader
from trackd_agent.monitor.readers.apple import apple_probe
from trackd_agent.monitor.readers.cgroup import CgroupReader
from trackd_agent.monitor.readers.details import DetailsReader
from trackd_agent.monitor.readers.gpu_numbers import GpuNumbers
from trackd_agent.monitor.readers.host import HostReader
from trackd_agent.monitor.readers.http import HttpReader
from trackd_agent.monitor.readers.ipu import ipu_probe
from trackd_agent.monitor.readers.library import Libraries
from trackd_agent.monitor.readers.network import NetworkReader
from trackd_agent.monitor.readers.neuron import NeuronReader
from trackd_agent.monitor.readers.nvidia import nvidia_probe
from trackd_agent.monitor.readers.paths import PathReader
from trackd_agent.monitor.readers.patterns import PatternReader
from trackd_agent.monitor.readers.pci import PciReader
from trackd_agent.monitor.readers.process import ProcessReader
from trackd_agent.monitor.readers.tpu import TpuReader
from trackd_agent.monitor.subject import Target

if TYPE_CHECKING:
    from trackd_agent.monitor.config import MonitorConfig
    from trackd_agent.monitor.readers.probe import ProbeReader
    from trackd_agent.monitor.subject import Subject

#: How much of a tick's deadline endpoints have to answer; the rest is for reading the answers.
_HTTP_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Readers:
    """All readers, as collectors get them."""

    host: HostReader
    paths: PathReader
    process: ProcessReader
    network: NetworkReader
    details: DetailsReader
    cgroup: CgroupReader
    http: HttpReader
    patterns: PatternReader
    gpu_numbers: GpuNumbers
    nvidia: ProbeReader
    pci: PciReader
    amd: AmdReader
    ipu: ProbeReader
    apple: ProbeReader
    tpu: TpuReader
    neuron: NeuronReader

    @classmethod
    def of(cls, config: MonitorConfig) -> Readers:
        """Return readers below the configured roots."""
        libraries = Libraries(config.library_path)
        return cls(
            host=HostReader(config.proc_root, config.sys_root),
            paths=PathReader(),
            process=ProcessReader(config.proc_root),
            network=NetworkReader(config.proc_root, config.sys_root),
            details=DetailsReader(config.proc_root, config.sys_root),
            cgroup=CgroupReader(config.proc_root),
            http=HttpReader(wait_s=_HTTP_SHARE * config.deadline_s),
            patterns=PatternReader(),
            gpu_numbers=GpuNumbers(nvidia_expected=config.collectors.get("nvidia", True)),
            pci=PciReader(config.sys_root),
            nvidia=nvidia_probe(config, libraries),
            amd=AmdReader.of(config, libraries),
            ipu=ipu_probe(),
            apple=apple_probe(),
            tpu=TpuReader.of(config),
            neuron=NeuronReader(config.neuron_monitor),
        )

    def close(self) -> None:
        """End every process and connection of the readers; they refuse to read from now on."""
        for reader in (
            self.nvidia,
            self.amd,
            self.ipu,
            self.apple,
            self.http,
            self.patterns,
            self.tpu,
            self.neuron,
        ):
            reader.close()

    def target(self, subject: Subject) -> Target:
        """Return the subject with the facts that hold until its end."""
        cgroup = self.cgroup.find(subject.pid) if subject.use_cgroup else None
        limits = [float(self.host.affinity(subject.pid) or 0), cgroup.cpu_limit if cgroup else 0.0]
        return Target(
            subject=subject,
            process=self.process.identify(subject.pid),
            cgroup=cgroup,
            network_place=self.network.place(subject.pid),
            cpu_capacity=min(
                (limit for limit in limits if limit > 0), default=float(self.host.physical_cpus)
            ),
        )
