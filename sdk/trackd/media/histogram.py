"""`Histogram`: counts by range of value, all in the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd.libraries import load
from trackd.recording.arrays import is_tensor, tensor_to_numpy
from trackd.recording.recordable import Recordable
from trackd.recording.texts import kind_of
from trackd.recording.values import to_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.artifacts.artifact import Artifact
    from trackd.recording.recordable import RunPlace, Slot

DEFAULT_BINS = 64


class Histogram(Recordable):
    """How many values lie in which range.

    Args:
        sequence: numbers to count; an array of any shape.
        np_histogram: counts and edges as `numpy.histogram` returns them, instead of numbers.
        num_bins: number of ranges of equal width, at most 512.

    Attributes:
        histogram: count of each range.
        bins: edges of the ranges, one more than there are counts.

    Raises:
        ValueError: more than 512 ranges, counts and edges that do not fit, or numbers without a
            finite range.
        Error: numbers are given and numpy is not installed.
    """

    MAX_LENGTH = 512
    log_type = "histogram"

    def __init__(
        self,
        sequence: Sequence[float] | Any = None,
        np_histogram: tuple[Any, Any] | None = None,
        num_bins: int = DEFAULT_BINS,
    ) -> None:
        if np_histogram:
            if len(np_histogram) != 2:
                raise ValueError(
                    f"Histogram: np_histogram has {len(np_histogram)} parts: pass (counts, edges)"
                )
            counts, edges = np_histogram
        else:
            numpy = load("numpy", "Histogram of numbers", "numpy")
            counts, edges = numpy.histogram(_countable(sequence), bins=num_bins)
        self.histogram = _as_list(counts)
        self.bins = _as_list(edges)
        if len(self.histogram) > self.MAX_LENGTH:
            raise ValueError(
                f"Histogram: {len(self.histogram)} bins are more than {self.MAX_LENGTH}: "
                "use a smaller num_bins"
            )
        if len(self.histogram) + 1 != len(self.bins):
            raise ValueError(
                f"Histogram: {len(self.histogram)} counts need {len(self.histogram) + 1} edges "
                f"and have {len(self.bins)}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return what stands for it in a row."""
        return {"_type": self.log_type, "values": self.histogram, "bins": self.bins}

    def to_history(self, place: RunPlace, slot: Slot) -> Any:
        """Return what stands for it in a row; no file is written."""
        del place, slot
        return to_history(self.to_json())

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Return what stands for it in the JSON of a table; no file is added."""
        del artifact
        plain: dict[str, Any] = to_history(self.to_json())
        return plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


def _countable(numbers: Any) -> Any:
    """Return numbers in a form that numpy counts without a word."""
    if is_tensor(kind_of(numbers)):
        numbers = tensor_to_numpy(numbers)
    is_boolean = str(getattr(numbers, "dtype", "")) == "bool"
    return numbers.astype("uint8") if is_boolean else numbers


def _as_list(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        return cast("list[Any]", values.tolist())
    return cast("list[Any]", values)
