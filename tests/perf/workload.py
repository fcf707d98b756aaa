"""One measured training process, for any SDK with the surface of `wandb`.

Started by `bench.py` once for each SDK, mode and repetition; prints one JSON object on stdout.
Only the standard library is imported before the clock starts, so that import costs are visible.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def process_age_s() -> float:
    """Return the seconds since this process was started, interpreter start-up included."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_s


def rss_mib() -> float:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def percentiles_us(samples_ns: list[int]) -> dict[str, float]:
    """Return p50, p99, mean and maximum in microseconds."""
    ordered = sorted(samples_ns)
    return {
        "p50_us": ordered[len(ordered) // 2] / 1e3,
        "p99_us": ordered[int(len(ordered) * 0.99)] / 1e3,
        "mean_us": sum(ordered) / len(ordered) / 1e3,
        "max_us": ordered[-1] / 1e3,
    }


def spin(stop: threading.Event) -> None:
    """Keep a Python thread busy, as a data loader or a metric computation does."""
    x = 0
    while not stop.is_set():
        for i in range(10_000):
            x += i * i


def work_for(seconds: float) -> None:
    """Do pure Python work for about this long: the compute between two log calls."""
    until = time.perf_counter() + seconds
    x = 0
    while time.perf_counter() < until:
        x += 1


def start_run(sdk: Any, args: argparse.Namespace) -> Any:
    """Start the run that all scenarios use."""
    settings: dict[str, Any] = {"console": "wrap" if args.console else "off"}
    if not args.stats:
        settings["x_disable_stats"] = True
    if args.label:
        settings["x_label"] = args.label
        if args.sdk == "wandb":
            settings["mode"] = "shared" if args.mode == "online" else "offline"
    return sdk.init(
        project="bench",
        mode=settings.pop("mode", args.mode),
        id=args.run_id or None,
        settings=sdk.Settings(**settings),
    )


def log_rows(run: Any, args: argparse.Namespace) -> list[int]:
    """Log the rows and return the time of each call in nanoseconds."""
    row = {f"metric_{k}": k * 0.37 for k in range(args.keys)}
    if args.payload_bytes:
        row["text"] = "x" * args.payload_bytes
    names = list(row)
    first = names[0]
    clock = time.perf_counter_ns
    log = run.log
    samples: list[int] = []
    until = time.perf_counter() + (args.seconds or 1e9)
    for i in range(args.rows):
        if time.perf_counter() > until:
            break
        row[first] = i * 0.5
        before = clock()
        log(row)
        samples.append(clock() - before)
        if args.work_ms:
            work_for(args.work_ms / 1e3)
        elif args.hz:
            time.sleep(1 / args.hz)
    return samples


def print_lines(args: argparse.Namespace) -> float:
    """Print lines to a null terminal and return the microseconds of each."""
    out = sys.stdout
    before = time.perf_counter_ns()
    for i in range(args.lines):
        print(f"epoch {i} loss {i * 0.25:.4f}", file=out)
    return (time.perf_counter_ns() - before) / 1e3 / max(1, args.lines)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the workload and return its figures."""
    result: dict[str, Any] = {"sdk": args.sdk, "mode": args.mode}
    before = time.perf_counter()
    sdk = importlib.import_module(args.sdk)
    result["import_s"] = time.perf_counter() - before
    result["import_rss_mib"] = rss_mib()
    result["import_modules"] = len(sys.modules)
    if args.import_only:
        return result
    before = time.perf_counter()
    run = start_run(sdk, args)
    result["init_s"] = time.perf_counter() - before
    run.log({"first": 1.0})
    result["first_log_s"] = process_age_s()
    result["init_rss_mib"] = rss_mib()
    stop = threading.Event()
    if args.busy:
        threading.Thread(target=spin, args=(stop,), daemon=True).start()
    if args.rows:
        cpu_before = time.process_time()
        before = time.perf_counter()
        samples = log_rows(run, args)
        result["logging_s"] = time.perf_counter() - before
        result["logging_cpu_s"] = time.process_time() - cpu_before
        result["log"] = percentiles_us(samples)
    if args.lines:
        result["print_us"] = print_lines(args)
    stop.set()
    before = time.perf_counter()
    run.finish()
    result["finish_s"] = time.perf_counter() - before
    result["started_to_finished_s"] = process_age_s()
    result["rank_cpu_s"] = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    result["rank_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["ended_at_s"] = time.time()
    result["run_id"] = run.id
    return result


def main() -> None:
    """Parse the options, run, print the result as the last line of the real stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sdk", default="trackd")
    parser.add_argument("--mode", default="offline")
    parser.add_argument("--run-id", default="")
    parser.add_argument("--label", default="")
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--hz", type=float, default=0)
    parser.add_argument("--work-ms", type=float, default=0)
    parser.add_argument("--payload-bytes", type=int, default=0)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--console", action="store_true")
    parser.add_argument("--stats", action="store_true")
    parser.add_argument("--import-only", action="store_true")
    args = parser.parse_args()
    real_stdout = os.dup(1)
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        result = measure(args)
    os.write(real_stdout, (json.dumps(result) + "\n").encode())


if __name__ == "__main__":
    main()
