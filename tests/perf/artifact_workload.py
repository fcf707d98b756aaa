"""One process that logs or downloads one artifact and prints what that took, with any of the SDKs.

Started by `artifact_speed.py`. While the artifact is on its way, the main thread spins as a
training loop would: `loop_share` is its rate then, relative to its rate before.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import threading
import time
from typing import Any

_BASELINE_S = 0.5


def spin(until: Any) -> float:
    """Return the rounds a second of a loop that runs until something says so."""
    rounds, began = 0, time.perf_counter()
    while not until():
        sum(range(2000))
        rounds += 1
    return rounds / max(time.perf_counter() - began, 1e-9)


def log(sdk: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Log all files of a folder as one version."""
    settings = {} if options.sdk == "trackio" else {"mode": options.mode}
    name = f"{options.name}-run" if options.sdk == "trackio" else None
    run = sdk.init(project="bench", name=name, **settings)
    began_alone = time.perf_counter()
    alone = spin(lambda: time.perf_counter() - began_alone > _BASELINE_S)
    began, cpu = time.perf_counter(), time.process_time()
    artifact = sdk.Artifact(options.name, "dataset")
    keywords = {} if options.sdk == "trackio" else {"policy": options.policy}
    artifact.add_dir(options.source, **keywords)
    built = time.perf_counter()
    logged = run.log_artifact(artifact)
    returned, share = time.perf_counter(), 1.0
    if options.mode == "online" and hasattr(logged, "wait"):
        done = threading.Event()

        def wait() -> None:
            logged.wait()
            done.set()

        threading.Thread(target=wait, daemon=True).start()
        share = spin(done.is_set) / alone
    ended, used = time.perf_counter(), time.process_time() - cpu
    version = str(getattr(logged, "version", "")) if options.mode == "online" else ""
    run.finish()
    return {
        "build_s": built - began,
        "call_s": returned - built,
        "total_s": ended - began,
        "with_finish_s": time.perf_counter() - began,
        "loop_share": share,
        "cpu_s": used,
        "version": version,
    }


def download(sdk: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Download the latest version into a folder."""
    if options.sdk == "trackio":
        run = sdk.init(project="bench", name="get")
        began = time.perf_counter()
        run.use_artifact(f"{options.name}:latest").download(options.root)
        return {"total_s": time.perf_counter() - began}
    began = time.perf_counter()
    artifact = sdk.Api().artifact(f"bench/{options.name}:latest")
    artifact.download(root=options.root)
    return {"total_s": time.perf_counter() - began}


def main() -> None:
    """Do it and print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sdk", required=True)
    parser.add_argument("--mode", default="online")
    parser.add_argument("--policy", default="mutable")
    parser.add_argument("--source", default="")
    parser.add_argument("--root", default="")
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    sdk = importlib.import_module(options.sdk)
    figures = log(sdk, options) if options.source else download(sdk, options)
    figures["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("FIGURES", json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
