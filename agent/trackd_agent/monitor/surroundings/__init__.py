"""What and where a rank's machine is: processors, cloud, container, pod, limits of its cgroup.

Found without network, by functions of what `readers.surroundings` read. The names of all but
processors and memory are our own: `wandb-metadata.json` of the W&B client has none for these.
"""

from trackd_agent.monitor.surroundings.source import Surroundings

__all__ = ["Surroundings"]
