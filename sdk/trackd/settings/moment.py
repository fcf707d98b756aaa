"""A point in the past of a run, from which another one goes on."""

from __future__ import annotations

_METRIC = "_step"


class RunMoment:
    """A step of a run: what `resume_from` and `fork_from` name.

    Attributes:
        run: id of the run.
        value: number of the last step that is kept.
        metric: what `value` counts; only `_step`.

    Raises:
        ValueError: another metric.
        TypeError: `run` is no text or `value` no number.
    """

    __slots__ = ("metric", "run", "value")

    def __init__(self, run: str, value: float, metric: str = _METRIC) -> None:
        if metric != _METRIC:
            raise ValueError(f"a run is continued by steps only: use {_METRIC!r}, not {metric!r}")
        if not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"step {value!r} of a run is no number: use one such as 123")
        if not isinstance(run, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{run!r} is no run id: use a text")
        self.run = run
        self.value = value
        self.metric = metric

    @classmethod
    def parse(cls, text: str) -> RunMoment:
        """Return the moment that a text such as `ans3bsax?_step=123` names.

        Raises:
            ValueError: it has another form.
        """
        run, question, condition = text.partition("?")
        metric, equals, number = condition.partition("=")
        step = _number(number)
        if not run or not question or not equals or metric != _METRIC or step is None:
            raise ValueError(
                f"{text!r} names no step of a run: use '<run id>?_step=<number>', "
                "such as 'ans3bsax?_step=123'"
            )
        if set(run) & set("/#"):
            raise ValueError(f"{text!r} names no step of a run: {run!r} is no run id")
        return cls(run, step)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunMoment):
            return NotImplemented
        return (self.run, self.value, self.metric) == (other.run, other.value, other.metric)

    def __hash__(self) -> int:
        return hash((self.run, self.value, self.metric))

    def __repr__(self) -> str:
        return f"RunMoment(run={self.run!r}, value={self.value!r}, metric={self.metric!r})"


def _number(text: str) -> float | None:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return None
