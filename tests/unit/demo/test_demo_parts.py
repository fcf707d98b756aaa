from __future__ import annotations

import importlib.util
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from trackd.demo.digits import Images, Network, load
from trackd.demo.ring import Ring
from trackd.demo.verb import demo

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_extra_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> object:
        return None if name == "sklearn" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    ended = CliRunner().invoke(demo, [])
    assert ended.exit_code == 1
    assert "the demonstration needs scikit-learn (the extra `demo`)" in ended.output
    assert "-m pip install scikit-learn" in ended.output


def test_a_project_name_that_no_run_may_have_is_refused_before_ranks_start() -> None:
    ended = CliRunner().invoke(demo, ["--project", "a/b"])
    assert ended.exit_code == 2
    assert "'a/b' contains '/'" in ended.output
    assert "Traceback" not in ended.output


def test_no_image_is_trained_on_and_measured_with() -> None:
    train, held_out = load(seed=3)
    assert len(train) + len(held_out) == 1797
    shards = [train.shard(rank, 4) for rank in range(4)]
    assert sum(len(shard) for shard in shards) == len(train)
    seen = {image.tobytes() for image in train.pixels}
    assert sum(image.tobytes() in seen for image in held_out.pixels) < 5  # a few are alike


def test_gradients_are_those_of_the_loss() -> None:
    network = Network(hidden=7, seed=5)
    random = np.random.default_rng(0)
    images = Images(random.random((9, 64)), random.integers(0, 10, 9))
    _, _, gradients = network.gradients(images)
    for name, gradient in gradients.items():
        index = np.unravel_index(int(np.abs(gradient).argmax()), gradient.shape)
        parameter = network.parameters[name]
        around: list[float] = []
        for shift in (1e-6, -2e-6):
            parameter[index] += shift
            around.append(network.evaluate(images)[0])
        parameter[index] += 1e-6
        assert (around[0] - around[1]) / 2e-6 == pytest.approx(gradient[index], rel=1e-4)


def test_every_rank_gets_the_mean_over_all(tmp_path: Path) -> None:
    means: dict[int, float] = {}

    def work(rank: int) -> None:
        with Ring(str(tmp_path / "ring"), rank, 3) as ring:
            means[rank] = float(ring.mean({"x": np.array([float(rank)])})["x"][0])

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert means == {0: 1.0, 1: 1.0, 2: 1.0}
