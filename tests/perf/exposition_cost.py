"""What a scrape costs: CPU of reading a megabyte of exposition, and how long the loop waits.

    python -m tests.perf.exposition_cost [--scrapes 20]

Two bodies of a megabyte: few long lines as the DCGM exporter of a cluster writes them, and many
short ones as node_exporter does; without and with filters that let a tenth through. The waiting
of the event loop is measured with a real monitor that scrapes a real server every 100 ms.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import statistics
import time
from typing import TYPE_CHECKING

import anyio
from tests.support.endpoints import Endpoints, Page

from trackd_agent.monitor import Monitor, MonitorConfig, OpenMetricsWish, Subject
from trackd_agent.monitor.exposition import MetricFilter, SampleTable, SeriesNumbers, filter_rules
from trackd_agent.monitor.exposition.table import read
from trackd_agent.monitor.registry import REGISTRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

FILTERS = ("_m.*1$",)


def dcgm_body() -> bytes:
    """Return 3840 samples with ten labels each: 15 fields of 8 GPUs on 32 nodes."""
    lines: list[str] = []
    for metric in range(15):
        lines.append(f"# HELP DCGM_FI_m{metric} Whatever it is.\n# TYPE DCGM_FI_m{metric} gauge")
        lines += [
            f'DCGM_FI_m{metric}{{gpu="{gpu}",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e{gpu:02}",'
            f'pci_bus_id="00000000:1B:00.0",device="nvidia{gpu}",modelName="NVIDIA H100 80GB HBM3",'
            f'Hostname="n{node}",container="train",namespace="ml-team-{node % 4}",'
            f'pod="train-{node}-abcdef",DCGM_FI_DRIVER_VERSION="535.129.03"}} '
            f"{random.random() * 1000:.6f}"
            for node in range(32)
            for gpu in range(8)
        ]
    return "\n".join([*lines, ""]).encode()


def node_body() -> bytes:
    """Return 15,600 samples with three labels each."""
    lines: list[str] = []
    for metric in range(390):
        lines.append(f"# HELP node_m{metric} Whatever it is.\n# TYPE node_m{metric} gauge")
        lines += [
            f'node_m{metric}{{cpu="{number}",mode="user{number % 8}",device="eth{number}"}} '
            f"{random.random() * 1e6}"
            for number in range(40)
        ]
    return "\n".join([*lines, ""]).encode()


def table(patterns: tuple[str, ...]) -> SampleTable:
    """Return a table as the collector has one."""
    metrics, numbers = MetricFilter(filter_rules(patterns)), SeriesNumbers()

    def key_of(name: str, labels: Callable[[], Mapping[str, str]]) -> str | None:
        if not metrics.admits(f"e.{name}", labels):
            return None
        return f"openmetrics.e.{name}.{numbers.number(name, labels())}"

    return SampleTable(key_of, lambda name: metrics.may_admit(f"e.{name}"))


def cpu_ms(act: Callable[[], object]) -> float:
    started_s = time.process_time()
    act()
    return 1000 * (time.process_time() - started_s)


def measure(name: str, make: Callable[[], bytes], patterns: tuple[str, ...], scrapes: int) -> None:
    """Print the cost of the first scrape and of later ones, medians of several."""
    firsts: list[float] = []
    laters: list[float] = []
    size = 0
    for _ in range(5):
        known, body = table(patterns), make()
        gc.collect()
        firsts.append(cpu_ms(lambda known=known, body=body: read(known, body)))
        for _ in range(scrapes):
            body = make()
            size = len(body)
            laters.append(cpu_ms(lambda known=known, body=body: read(known, body)))
    kind = "filtered" if patterns else "all     "
    print(
        f"{name:14} {kind} {size / 1e6:.2f} MB   first {statistics.median(firsts):5.1f} ms   "
        f"later {statistics.median(laters):5.2f} ms"
    )


async def lateness(url: str, seconds: float) -> list[float]:
    """Return how late the event loop was, in ms, each time it wanted to run.

    Args:
        url: What a monitor scrapes meanwhile, every 100 ms; empty: nothing.
        seconds: How long to measure.
    """
    late: list[float] = []
    others = {each.name: False for each in REGISTRATIONS if each.name != "openmetrics"}
    async with Monitor(MonitorConfig(collectors=others)) as monitor:
        if url:
            wish = OpenMetricsWish(endpoints={"e": url}, filters=FILTERS)
            monitor.subscribe(Subject("r", 1, 0.1, open_metrics=wish), lambda time_s, values: None)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            started_s = time.perf_counter()
            await anyio.sleep(0.001)
            late.append(1000 * (time.perf_counter() - started_s) - 1)
    return late


def show_lateness(name: str, url: str, seconds: float) -> None:
    late = sorted(anyio.run(lateness, url, seconds))
    print(
        f"{name:14} event loop late: median {statistics.median(late):.2f} ms, "
        f"99 % {late[int(0.99 * len(late))]:.2f} ms, most {late[-1]:.2f} ms"
    )


def serve(body: bytes, ready: Connection) -> None:
    """Serve a body in a process of its own until told to stop."""
    with Endpoints() as endpoints:
        endpoints.pages["*"] = Page(body)
        ready.send(endpoints.url)
        ready.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    for name, make in BODIES.items():
        for patterns in ((), FILTERS):
            measure(name, make, patterns, options.scrapes)
    show_lateness("no scrapes", "", options.seconds)
    for name, make in BODIES.items():
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(make(), there), daemon=True
        )
        server.start()
        show_lateness(name, here.recv(), options.seconds)
        here.send("stop")
        server.join()


BODIES = {"DCGM": dcgm_body, "node_exporter": node_body}

if __name__ == "__main__":
    main()
