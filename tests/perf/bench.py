"""Runs trackd and `wandb` side by side and prints medians and ratios.

    python tests/perf/bench.py                      everything, 5 pairs each (about 15 minutes)
    python tests/perf/bench.py log init --pairs 3   some scenarios
    python tests/perf/bench.py --json out.json      keep every figure

Each pair runs ours and the peer one after the other on the same machine, in fresh data
directories; figures are medians over the pairs, with p50 and p99 of the calls inside a run. CPU
and memory are those of every process that the workload started (found by a tag in its
environment): rank, agent, server, the peer's service. `wandb` runs offline and, where marked,
online against a `trackd server`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

from measuring import Bench, Watch


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def line(name: str, ours: list[float], peer: list[float], unit: str) -> dict[str, Any]:
    """Print one row of the report and return it."""
    a = median(ours)
    b = median(peer) if peer else float("nan")
    ratio = b / a if peer and a else float("nan")
    print(f"  {name:<46} {a:>12.3f} {b:>12.3f} {unit:<8} {ratio:>8.1f}x", flush=True)
    return {"name": name, "ours": ours, "peer": peer, "unit": unit, "ratio_of_medians": ratio}


def paired(
    options: list[str], pairs: int, *, peer_modes: tuple[str, ...] = ("offline", "online")
) -> dict[str, list[dict[str, Any]]]:
    """Run ours and each mode of the peer in turn; return the figures by column."""
    columns: dict[str, list[dict[str, Any]]] = {"trackd": []}
    columns |= {f"wandb {mode}": [] for mode in peer_modes}
    for _ in range(pairs):
        with Bench() as bench:
            bench.trackd("up")
            if "online" in peer_modes:
                bench.serve_peer()
            columns["trackd"].append(bench.run("trackd", "--mode", "online", *options))
            for mode in peer_modes:
                columns[f"wandb {mode}"].append(bench.run("wandb", "--mode", mode, *options))
    return columns


def bench_log(pairs: int) -> list[dict[str, Any]]:
    """Cost of one `log()` call."""
    rows: list[dict[str, Any]] = []
    for keys in (1, 10, 100):
        for what, extra, count in (
            ("tight", [], 20_000 if keys < 100 else 5_000),
            ("1 ms of work", ["--work-ms", "1"], 2_000),
            ("at 1 kHz", ["--hz", "1000"], 2_000),
            # For a fixed time: the peer needs milliseconds a call here, we microseconds.
            ("tight, busy thread", ["--busy", "--seconds", "3"], 200_000),
        ):
            columns = paired(["--keys", str(keys), "--rows", str(count), *extra], pairs)
            for figure in ("p50_us", "p99_us", "mean_us"):
                ours = [c["log"][figure] for c in columns["trackd"]]
                for peer in ("wandb offline", "wandb online"):
                    theirs = [c["log"][figure] for c in columns[peer]]
                    rows.append(
                        line(f"log {keys} scalars {what} {figure} vs {peer}", ours, theirs, "us")
                    )
    return rows


def bench_init(pairs: int) -> list[dict[str, Any]]:
    """Import, and process start to first accepted `log()`, cold and warm."""
    imports: dict[str, list[dict[str, Any]]] = {"trackd": [], "wandb": []}
    cold: dict[str, list[float]] = {"trackd": [], "wandb": []}
    warm: dict[str, list[float]] = {"trackd": [], "wandb": []}
    rss: dict[str, list[float]] = {"trackd": [], "wandb": []}
    for _ in range(pairs):
        with Bench() as bench:
            bench.serve_peer()
            for sdk in ("trackd", "wandb"):
                imports[sdk].append(bench.run(sdk, "--import-only"))
                first = bench.run(sdk, "--mode", "online")
                cold[sdk].append(first["first_log_s"])
                second = bench.run(sdk, "--mode", "online")
                warm[sdk].append(second["first_log_s"])
                rss[sdk].append(second["init_rss_mib"])
    out = [
        line(
            f"import: {label}",
            [c[name] for c in imports["trackd"]],
            [c[name] for c in imports["wandb"]],
            unit,
        )
        for name, label, unit in (
            ("import_s", "seconds", "s"),
            ("import_rss_mib", "resident memory", "MiB"),
            ("import_modules", "modules", ""),
        )
    ]
    out.append(line("start to first log, no agent yet", cold["trackd"], cold["wandb"], "s"))
    out.append(line("start to first log, agent there", warm["trackd"], warm["wandb"], "s"))
    out.append(line("rank's memory after init", rss["trackd"], rss["wandb"], "MiB"))
    return out


def sustained_ours(rows: int) -> dict[str, float]:
    """Log rows in a tight loop; return rates to durable and to uploaded, and the CPU of each."""
    with Bench() as bench:
        bench.trackd("up")
        bench.run("trackd", "--mode", "online")  # the embedded server is up afterwards
        with Watch(bench.tag) as watch:
            watch.sample()
            base = {role: watch.cpu_s(role) for role in ("agent", "server")}
            figures = bench.run("trackd", "--mode", "online", "--rows", str(rows))
            uploaded_at = bench.wait_uploaded()
            watch.sample()
            start = figures["ended_at_s"] - figures["finish_s"] - figures["logging_s"]
            return {
                "durable_rows_s": rows / (figures["logging_s"] + figures["finish_s"]),
                "uploaded_rows_s": rows / (uploaded_at - start),
                "finish_s": figures["finish_s"],
                "logging_s": figures["logging_s"],
                "rank_cpu_s": figures["rank_cpu_s"],
                "agent_cpu_s": watch.cpu_s("agent") - base["agent"],
                "server_cpu_s": watch.cpu_s("server") - base["server"],
                "agent_rss_mib": watch.rss_mib("agent"),
                "server_rss_mib": watch.rss_mib("server"),
            }


def sustained_peer(rows: int, mode: str) -> dict[str, float]:
    """The same for the peer; durable is when finish() returned offline."""
    with Bench() as bench:
        bench.serve_peer()
        with Watch(bench.tag) as watch:
            watch.sample()
            server = watch.cpu_s("server")
            figures = bench.run("wandb", "--mode", mode, "--rows", str(rows))
            return {
                "rows_s": rows / (figures["logging_s"] + figures["finish_s"]),
                "finish_s": figures["finish_s"],
                "logging_s": figures["logging_s"],
                "rank_cpu_s": figures["rank_cpu_s"],
                "service_cpu_s": watch.cpu_s("service"),
                "server_cpu_s": watch.cpu_s("server") - server,
                "service_rss_mib": watch.rss_mib("service"),
            }


def bench_sustained(pairs: int, rows: int = 100_000) -> list[dict[str, Any]]:
    """Throughput, CPU and `finish()` for 100,000 rows of 10 keys."""
    ours: list[dict[str, float]] = []
    offline: list[dict[str, float]] = []
    online: list[dict[str, float]] = []
    for _ in range(pairs):
        ours.append(sustained_ours(rows))
        offline.append(sustained_peer(rows, "offline"))
        online.append(sustained_peer(rows, "online"))

    def column(table: list[dict[str, float]], *names: str) -> list[float]:
        return [sum(t[n] for n in names) for t in table]

    return [
        line("rows/s durable", column(ours, "durable_rows_s"), column(offline, "rows_s"), "1/s"),
        line("rows/s uploaded", column(ours, "uploaded_rows_s"), column(online, "rows_s"), "1/s"),
        line("finish() vs offline", column(ours, "finish_s"), column(offline, "finish_s"), "s"),
        line("finish() vs online", column(ours, "finish_s"), column(online, "finish_s"), "s"),
        line(
            "CPU rank + agent (service) per run",
            column(ours, "rank_cpu_s", "agent_cpu_s"),
            column(online, "rank_cpu_s", "service_cpu_s"),
            "s",
        ),
        line("CPU rank", column(ours, "rank_cpu_s"), column(online, "rank_cpu_s"), "s"),
        line("CPU agent", column(ours, "agent_cpu_s"), column(online, "service_cpu_s"), "s"),
        line("CPU server", column(ours, "server_cpu_s"), column(online, "server_cpu_s"), "s"),
        line(
            "agent memory", column(ours, "agent_rss_mib"), column(online, "service_rss_mib"), "MiB"
        ),
        line("server memory", column(ours, "server_rss_mib"), [], "MiB"),
    ]


def ranks_once(sdk: str, ranks: int, rows: int) -> dict[str, float]:
    """Start all ranks at once and wait until everything is durable."""
    with Bench() as bench:
        if sdk == "wandb":
            bench.serve_peer()
        with Watch(bench.tag, period_s=0.1) as watch:
            before = time.monotonic()
            started = [
                bench.start(
                    sdk, "--mode", "online", "--run-id", "shared", "--label", f"rank{i}",
                    "--rows", str(rows), "--stats",
                )
                for i in range(ranks)
            ]  # fmt: skip
            results = [json.loads(p.communicate(timeout=600)[0].splitlines()[-1]) for p in started]
            wall = time.monotonic() - before
            watch.sample()
            services = watch.cpu_s("agent") + watch.cpu_s("service")
            return {
                "wall_s": wall,
                "cpu_s": sum(r["rank_cpu_s"] for r in results) + services,
                "rss_mib": watch.peak_total_rss_mib,
                "services_mib": sum(watch.rss_mib(r) for r in ("agent", "server", "service")),
                "services": sum(
                    u.role in {"agent", "server", "service"} for u in watch.seen.values()
                ),
            }


RANK_FIGURES = (
    ("wall_s", "s"),
    ("cpu_s", "s"),
    ("rss_mib", "MiB"),
    ("services_mib", "MiB"),
    ("services", ""),
)


def bench_ranks(pairs: int) -> list[dict[str, Any]]:
    """8 and 32 ranks of one run on one node."""
    out: list[dict[str, Any]] = []
    for ranks in (8, 32):
        ours: list[dict[str, float]] = []
        peer: list[dict[str, float]] = []
        for _ in range(max(1, pairs // 2)):
            ours.append(ranks_once("trackd", ranks, 2_000))
            peer.append(ranks_once("wandb", ranks, 2_000))
        out += [
            line(
                f"{ranks} ranks x 2,000 rows {name}",
                [o[name] for o in ours],
                [p[name] for p in peer],
                unit,
            )
            for name, unit in RANK_FIGURES
        ]
    return out


def bench_console(pairs: int) -> list[dict[str, Any]]:
    """Cost of a printed line with capture on and off."""
    out: list[dict[str, Any]] = []
    for what, extra in (("on", ["--console"]), ("off", [])):
        columns = paired(["--lines", "20000", *extra], pairs, peer_modes=("offline",))
        out.append(
            line(
                f"printed line, capture {what}",
                [c["print_us"] for c in columns["trackd"]],
                [c["print_us"] for c in columns["wandb offline"]],
                "us",
            )
        )
    return out


def bench_memory(pairs: int, points: int = 1_000_000) -> list[dict[str, Any]]:
    """Agent memory over 1,000,000 points (100,000 rows of 10 keys): early, and at the end."""
    early: list[float] = []
    late: list[float] = []
    for _ in range(max(1, pairs // 2)):
        with Bench() as bench:
            bench.trackd("up")
            with Watch(bench.tag) as watch:
                bench.run("trackd", "--mode", "online", "--rows", "1000")
                watch.sample()
                early.append(watch.rss_mib("agent"))
                bench.run("trackd", "--mode", "online", "--rows", str(points // 10))
                bench.wait_uploaded()
                late.append(watch.rss_mib("agent"))
    return [line("agent memory, 1,000 rows -> 1,000,000 points", late, early, "MiB")]


def bench_backlog(pairs: int) -> list[dict[str, Any]]:
    """Agent memory with a backlog of 200 MB while the server is stopped (SIGSTOP)."""
    before: list[float] = []
    after: list[float] = []
    for _ in range(max(1, pairs // 2)):
        with Bench() as bench:
            bench.trackd("up")
            with Watch(bench.tag) as watch:
                bench.run("trackd", "--mode", "online", "--rows", "10")
                bench.wait_uploaded()
                watch.sample()
                before.append(watch.rss_mib("agent"))
                servers = [pid for pid, u in watch.seen.items() if u.role == "server"]
                for pid in servers:
                    os.kill(pid, signal.SIGSTOP)
                bench.run(
                    "trackd", "--mode", "online", "--rows", "20000", "--payload-bytes", "10000"
                )
                time.sleep(3)
                watch.sample()
                after.append(watch.rss_mib("agent"))
                for pid in servers:
                    os.kill(pid, signal.SIGCONT)
                bench.wait_uploaded()
    return [line("agent memory, no backlog -> 200 MB", after, before, "MiB")]


SCENARIOS = {
    "init": bench_init,
    "log": bench_log,
    "sustained": bench_sustained,
    "ranks": bench_ranks,
    "console": bench_console,
    "memory": bench_memory,
    "backlog": bench_backlog,
}


def main() -> None:
    """Run the scenarios named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], default=[])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {}
    for name in args.scenarios or SCENARIOS:
        print(f"{name:<48} {'trackd':>12} {'wandb':>12} {'unit':<8} {'wandb/trackd':>9}")
        report[name] = SCENARIOS[name](args.pairs)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
