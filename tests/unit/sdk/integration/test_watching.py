"""`run.watch()` where something cannot be recorded, and its hooks after the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trackd
from trackd.runs.watching import histogram_of
from trackd_proto.records import Row

if TYPE_CHECKING:
    from tests.unit.sdk.small_agent import SmallAgent

torch: Any = pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_cannot_be_counted_is_said_once_and_training_goes_on(
    agent: SmallAgent, capfd: pytest.CaptureFixture[str]
) -> None:
    model = torch.nn.Linear(2, 1)
    model.table = torch.nn.Parameter(torch.eye(3).to_sparse_csr(), requires_grad=False)
    with trackd.init(project="p", id="r", mode="offline") as run:
        run.watch(model, log="all", log_freq=1)
        for step in range(3):
            model(torch.ones(1, 2)).sum().backward()
            run.log({"step": step})
    rows = [record.data for record in agent.records() if isinstance(record, Row)]
    assert sum("parameters/bias" in row for row in rows) == 3
    assert sum("gradients/weight" in row for row in rows) == 3
    assert not any("parameters/table" in row for row in rows)
    assert capfd.readouterr().err.count("watch(): 'parameters/table' cannot be recorded") == 1


def test_the_edges_of_a_range_that_single_precision_cannot_hold_are_numbers() -> None:
    for values in ([-3e38, 0, 3e38], [-1e300, 1, 1e300]):
        counts, edges = histogram_of(torch.tensor(values, dtype=torch.float64)) or ([], [])
        assert (sum(counts), counts[0], counts[-1]) == (3, 1, 1)
        assert (edges[0], edges[32], edges[-1]) == (values[0], 0, values[-1])


def test_a_model_that_is_no_longer_watched_can_be_watched_again(agent: SmallAgent) -> None:
    del agent
    model = torch.nn.Sequential(torch.nn.Linear(2, 1))
    with trackd.init(project="p", id="r", mode="offline") as run:
        for models in (model, None):
            run.watch(model, log_graph=True)
            run.unwatch(models)
        assert not model[0]._forward_hooks
        run.watch(model, log_graph=True)
        with pytest.raises(ValueError, match="watched already"):
            run.watch(model, log_graph=True)
