"""Asking a probe: a worker process that calls a vendor's library (`trackd_agent.probes`).

Started when first asked, ended with the agent (its input ends) and whenever it fails; then
started again with growing pauses. One that is not asked for minutes leaves by itself. Where it
finds no device, that is believed for ten minutes: a driver may be loaded later, and looking at
every tick would cost a process each.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.backoff import Backoff
from trackd_agent.monitor.readers.child import Child, ChildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How long an answer may take; the sampler gives up sooner, and its thread comes back then.
ANSWER_S = 5.0
#: How long the first one may take: initialising drivers of eight devices takes seconds.
FIRST_ANSWER_S = 30.0
MAX_ANSWER_BYTES = 1024**2
#: How long the end waits for a question under way, which ends with its process.
CLOSE_S = 1.0
#: How long "there is no such device" holds.
ABSENT_S = 600.0


class ProbeError(Exception):
    """A probe gave no answer: it hung, crashed or reported an error."""


class ProbeReader:
    """Answers of one probe, by name of its module."""

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        missing: Callable[[], str] = lambda: "",
        environment: Mapping[str, str] | None = None,
        answer_s: float = ANSWER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; no process is started before the first question.

        Args:
            name: Module of `trackd_agent.probes`.
            options: What its `open` gets.
            environment: Of the process; by default that of the agent.
            missing: Looks without a process whether there can be a device: why not, or "".
            answer_s: How long an answer may take, after the first.
            clock: Monotonic seconds.
        """
        self._name = name
        # -P: the folder in which the agent was started must not shadow modules.
        program = [sys.executable, "-P", "-m", "trackd_agent.probes"]
        self._command = [*program, name, json.dumps(dict(options or {}))]
        self._missing = missing
        self._environment = environment
        self._answer_s = answer_s
        self._clock = clock
        self._backoff = Backoff(clock)
        self._absent = ""
        self._absent_until_s = 0.0
        self._child: Child | None = None
        self._asking = threading.Lock()
        self._closed = False

    def ask(self, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the devices say now; blocks for an answer's deadline at most.

        Raises:
            NoDataError: The machine has no such device; the text says why.
            ProbeError: The probe failed, or failed a moment ago.
        """
        return self._exchange({"ask": "read", "request": dict(request or {})})

    def describe(self) -> dict[str, Any]:
        """Return what the devices are.

        Raises:
            NoDataError: The machine has no such device; the text says why.
            ProbeError: The probe failed, or failed a moment ago.
        """
        return self._exchange({"ask": "describe"})

    def close(self) -> None:
        """End the probe; a question under way fails, and later ones are refused."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()
        if self._asking.acquire(timeout=CLOSE_S):
            self._end()
            self._asking.release()

    def _exchange(self, line: dict[str, Any]) -> dict[str, Any]:
        if not self._asking.acquire(timeout=self._answer_s if self._child else FIRST_ANSWER_S):
            raise ProbeError(f"probe {self._name} is busy with an earlier question")
        try:
            self._check()
            return self._answer(line)
        finally:
            self._asking.release()

    def _check(self) -> None:
        """Refuse what is known to fail."""
        if self._closed:
            raise ProbeError(f"probe {self._name} is closed")
        if self._child is not None and self._child.has_left:  # nobody had asked it for long
            self._end()
        if self._child is not None:
            return
        if self._clock() < self._absent_until_s:
            raise NoDataError(self._absent)
        if self._backoff.wait_s:
            raise ProbeError(f"{self._backoff.reason}; next try in {self._backoff.wait_s:.0f} s")
        if reason := self._missing():
            raise self._no_device(reason)

    def _answer(self, line: dict[str, Any]) -> dict[str, Any]:
        deadline_s = self._answer_s if self._child else max(FIRST_ANSWER_S, self._answer_s)
        try:
            if self._child is None:
                self._child = Child(self._command, self._environment, with_input=True)
            self._child.send(json.dumps(line).encode() + b"\n")
            answer = _parse(self._child.read_line(deadline_s, MAX_ANSWER_BYTES))
        except (ChildError, ValueError) as error:
            raise self._failed(f"probe {self._name}: {error}") from error
        if "ok" in answer:
            self._backoff.succeeded()
            return answer["ok"]
        if "absent" in answer:
            self._end()
            raise self._no_device(str(answer["absent"]))
        raise self._failed(f"probe {self._name}: {answer.get('error', 'unknown form of answer')}")

    def _no_device(self, reason: str) -> NoDataError:
        self._absent, self._absent_until_s = reason, self._clock() + ABSENT_S
        return NoDataError(reason)

    def _failed(self, reason: str) -> ProbeError:
        self._end()
        self._backoff.failed(reason)
        return ProbeError(reason)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _parse(line: bytes) -> dict[str, Any]:
    answer: object = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError(f"answer {line[:80]!r} is no JSON object")  # noqa: TRY004 (as bad JSON)
    return cast("dict[str, Any]", answer)
