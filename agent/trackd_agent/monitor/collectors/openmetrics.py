"""Prometheus endpoints: gauges and counters of what runs beside the training."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_agent.monitor.contract import (
    Meaning,
    NobodyAsksError,
    NoDataError,
    Reading,
    Readings,
    Registration,
)
from trackd_agent.monitor.exposition import (
    MAX_SERIES,
    FilterRules,
    MetricFilter,
    Pace,
    SampleTable,
    SeriesNumbers,
    filter_rules,
    read,
)
from trackd_agent.monitor.readers.http import HttpAnswer, HttpError, HttpRequest, shown
from trackd_agent.monitor.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trackd_agent.monitor.exposition import LabelMap
    from trackd_agent.monitor.exposition.filters import Search
    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import OpenMetricsWish, Subject, Target

#: What a run's environment may hold of labels, all endpoints together.
MAX_LABEL_CHARACTERS = 64 * 1024


#: How long the first description of a run waits for its first sample.
FIRST_TRY_S = 2.0


class SourceError(Exception):
    """None of the endpoints gave anything; the text says why."""


class _Wish(NamedTuple):
    """One endpoint as somebody wants to see it: who wants the same shares table and numbers."""

    name: str
    request: HttpRequest
    filters: FilterRules


@dataclass(slots=True)
class _Endpoint:
    """What is known of an endpoint."""

    metrics: MetricFilter
    table: SampleTable
    numbers: SeriesNumbers


class OpenMetricsCollector:
    """Reports `openmetrics.{endpoint}.{metric}.{index}`, values as they are exposed.

    The index counts the label sets of a metric in the order of their first appearance, those
    that the filters drop left out, and stays the same as long as anybody watches the endpoint.
    Ranks with the same wishes share one request, one parse and one numbering. Which labels an
    index stands for is in the run's environment, under `openmetrics`.
    """

    def __init__(self, readers: Readers) -> None:
        self._http = readers.http
        self._endpoints: Shared[_Wish, _Endpoint] = Shared(
            lambda wish: _new_endpoint(wish, readers.patterns.search)
        )
        self._tried = threading.Condition()

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Scrape every endpoint once, whatever number of targets asks for it."""
        wanting: dict[_Wish, list[Target]] = {}
        for target in targets:
            for wish in _wishes(target.subject.open_metrics):
                wanting.setdefault(wish, []).append(target)
        if not wanting:
            raise NobodyAsksError("no run names an endpoint (x_stats_open_metrics_endpoints)")
        answers = self._http.get_all(wish.request for wish in wanting)
        found = Readings()
        for wish, watchers in wanting.items():
            self._report(wish, answers[wish.request], watchers, found)
        with self._tried:
            self._tried.notify_all()
        if not found.by_subject and found.problems:
            raise SourceError("; ".join(found.problems))
        return found

    def describe_for(self, subject: Subject) -> dict[str, Any]:
        """Return which labels each index stands for, as far as they are known by now.

        Raises:
            NoDataError: The subject wants no endpoints, or nothing was seen yet.
        """
        wishes = list(_wishes(subject.open_metrics))
        with self._tried:
            self._tried.wait_for(lambda: all(map(self._endpoints.peek, wishes)), FIRST_TRY_S)
        maps: dict[str, LabelMap] = {}
        left = MAX_LABEL_CHARACTERS
        for wish in wishes:
            if endpoint := self._endpoints.peek(wish):
                labels, used = endpoint.numbers.label_map(left)
                left -= used
                if labels:
                    maps[wish.name] = labels
        if not maps:
            raise NoDataError("no endpoint has told series with labels")
        return {"openmetrics": maps}

    def forget(self, subject: Subject) -> None:
        """Drop what only this subject wanted: who comes later starts to number again."""
        self._endpoints.forget(subject.key)

    def _report(
        self,
        wish: _Wish,
        answer: HttpAnswer | HttpError,
        watchers: Sequence[Target],
        found: Readings,
    ) -> None:
        endpoint = self._endpoints.get(wish, (target.key for target in watchers))
        if isinstance(answer, HttpError):
            found.problem(f"endpoint {wish.name} ({shown(wish.request.url)}): {answer}")
            return
        known = endpoint.numbers.series
        values = read(endpoint.table, _whole_lines(answer), answer.content_type)
        for problem in endpoint.metrics.problems:
            found.problem(problem)
        pace, readings = Pace(), list[Reading]()
        for key, value in values.items():
            readings.append(Reading(key, Meaning.NOW, value))
            pace.step()
        for target in watchers:
            found.by_subject.setdefault(target.key, []).extend(readings)
        if endpoint.numbers.left_out:
            found.problem(
                f"endpoint {wish.name} has more than {MAX_SERIES} series that the filters let "
                "through, or labels that are too long: the others are left out; narrow "
                "x_stats_open_metrics_filters"
            )
        if endpoint.numbers.series != known:
            found.describe_again()


def _whole_lines(answer: HttpAnswer) -> bytes:
    """Return a body without a last line of which the end may be missing, and so half a number."""
    body = answer.body
    return body if answer.is_framed else body[: body.rfind(b"\n") + 1]


def _new_endpoint(wish: _Wish, search: Search) -> _Endpoint:
    metrics, numbers = MetricFilter(wish.filters, search), SeriesNumbers()

    def may_want(name: str) -> bool:
        return metrics.may_admit(f"{wish.name}.{name}")

    def key_of(name: str, labels: Callable[[], Mapping[str, str]]) -> str | None:
        if not metrics.admits(f"{wish.name}.{name}", labels):
            return None
        number = numbers.number(name, labels())
        return None if number is None else f"openmetrics.{wish.name}.{name}.{number}"

    return _Endpoint(metrics, SampleTable(key_of, may_want), numbers)


def _wishes(wish: OpenMetricsWish) -> Iterator[_Wish]:
    headers = tuple(sorted(wish.headers.items()))
    for name, url in wish.endpoints.items():
        yield _Wish(name, HttpRequest(url, headers), filter_rules(wish.filters))


COLLECTOR = Registration("openmetrics", OpenMetricsCollector)
