"""The monitor room: system metrics, sampled once per node and handed to every rank that asked.

Owns when to sample (one grid of ticks per interval, for all subjects together), the threads in
which blocking reads run, and what happens when a source is missing, slow or broken. It must not
know what a run, a journal or an upstream is: whoever subscribes gets plain numbers by key.

How a key comes about: a *reader* reads the machine (`readers`, the only place with I/O; libraries
of vendors are called by the processes of `trackd_agent.probes`), a *collector* turns what was read
into readings (`collectors`, one file and one method each, no timing and no failure policy), a
*series* turns the counters among them into what one subject sees (since its first sample, over
its last interval), and the *sampler* does the rest.

A new device is one new file in `collectors`, with one `COLLECTOR = Registration(...)` in it.
"""

from trackd_agent.monitor.config import MonitorConfig
from trackd_agent.monitor.contract import Event
from trackd_agent.monitor.lookout import Lookout, NodeView
from trackd_agent.monitor.runner import CollectorState
from trackd_agent.monitor.sampler import Monitor, Subscription
from trackd_agent.monitor.subject import OpenMetricsWish, Subject

__all__ = [
    "CollectorState",
    "Event",
    "Lookout",
    "Monitor",
    "MonitorConfig",
    "NodeView",
    "OpenMetricsWish",
    "Subject",
    "Subscription",
]
