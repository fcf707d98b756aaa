"""The probes room: vendor libraries, each called in a small process of its own.

A library that talks to a driver may hang or crash on a sick device; here it takes only its own
process along (as does a user's regular expression that takes for ever, in `patterns`).
`python -m trackd_agent.probes NAME [OPTIONS]` imports one module of this package, which imports
the standard library and the vendor's module and nothing of ours, so that it starts quickly. It
answers requests of the agent (`monitor.readers.probe`) until its input ends.

A module here has `open(options) -> Probe` and knows no key, no subject and no tick: it returns
raw facts as the library gives them. Wire format (JSON, one line each way): requests are
`{"ask": "read", "request": {…}}` and `{"ask": "describe"}`; answers are `{"ok": {…}}`,
`{"absent": "reason"}` (this machine has no such device, or lacks the library) and
`{"error": "reason"}`. The agent ends a probe after the latter two and starts another one later; a
probe that nobody asks leaves by itself.
"""

from __future__ import annotations

from typing import Any, Protocol


class AbsentError(Exception):
    """This machine has nothing for the probe to read; the text says what is missing."""


class Probe(Protocol):
    """What `open` of a probe's module returns."""

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what the devices say now, as JSON values.

        Raises:
            AbsentError: There is no device (any more).
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what the devices are: the same at each call, as JSON values."""
        ...
