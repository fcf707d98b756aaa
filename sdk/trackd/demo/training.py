"""One rank of the demonstration: what a data-parallel training script looks like with trackd.

Started by `trackd demo` once for each rank, with the variables that `torchrun` sets as well.
"""
# ruff: noqa: T201 - a training script prints

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import trackd
from trackd.demo.digits import Network, load
from trackd.demo.ring import Ring


@dataclass(frozen=True)
class Options:
    """How to train; becomes the run's config."""

    ranks: int
    steps: int
    learning_rate: float = 0.01
    batch_size: int = 32
    hidden: int = 128
    seed: int = 1

    @property
    def evaluate_every(self) -> int:
        """How many steps lie between two measurements on images that nobody trains on."""
        return max(1, self.steps // 40)


def main(run_id: str, project: str, steps: int, address: str) -> None:
    """Train one rank's share and log every step.

    Args:
        run_id: Names the run; all ranks give the same, that is all it takes to share it.
        project: Project of the run.
        steps: How many steps to train.
        address: Path of the socket on which the ranks exchange gradients.
    """
    rank = int(os.environ["RANK"])
    options = Options(ranks=int(os.environ["WORLD_SIZE"]), steps=steps)
    run = trackd.init(
        project=project,
        id=run_id,
        name="digits on several ranks",
        config=asdict(options),
        settings={"x_label": f"rank-{rank}", "x_stats_sampling_interval": 1.0},
    )
    with run, Ring(address, rank, options.ranks) as ring:
        print(f"rank {rank}: training, process {os.getpid()}")
        waits_us = train(run, ring, rank, options)
        middle_us, worst_us = float(np.median(waits_us)), max(waits_us)
        print(
            f"rank {rank}: log() took {middle_us:.1f} µs in the median, {worst_us:.0f} µs at worst"
            f" ({options.ranks} busy ranks on {os.cpu_count()} cores)"
        )


def train(run: trackd.Run, ring: Ring, rank: int, options: Options) -> list[float]:
    """Train and return how long each `log()` took, in microseconds."""
    images, held_out = load(options.seed)
    images = images.shard(rank, options.ranks)
    network = Network(options.hidden, options.seed)
    random = np.random.default_rng(rank)
    waits_us: list[float] = []
    for step in range(1, options.steps + 1):
        started_s = time.perf_counter()
        rate = options.learning_rate * (1 - (step - 1) / options.steps)
        batch = images.batch(random, options.batch_size)
        loss, accuracy, gradients = network.gradients(batch)
        network.step(ring.mean(gradients), rate)
        row = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
        row["step_ms"] = (time.perf_counter() - started_s) * 1e3
        if rank == 0 and step % options.evaluate_every == 0:
            row["held_out/loss"], row["held_out/accuracy"] = network.evaluate(held_out)
        before_s = time.perf_counter()
        run.log(row)
        waits_us.append((time.perf_counter() - before_s) * 1e6)
        if step % options.evaluate_every == 0:
            print(f"rank {rank}: step {step}/{options.steps} loss {loss:.4f} {accuracy:.0%} right")
    if rank == 0:
        model = Path(run.dir) / "model.npz"
        network.save(model)
        run.save(str(model), base_path=run.dir, policy="now")
        run.summary["parameters"] = sum(value.size for value in network.parameters.values())
    return waits_us


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
