"""Where a rank runs: container, pod, cloud, and what its cgroup allows; found without network.

Pure functions of what `readers.surroundings` read. The names are our own: `wandb-metadata.json`
of the W&B client has none for these.
"""

from trackd_agent.monitor.surroundings.source import Surroundings

__all__ = ["Surroundings"]
