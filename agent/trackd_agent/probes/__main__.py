"""The process of one probe: `python -m trackd_agent.probes NAME [OPTIONS]`."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.probes import AbsentError

if TYPE_CHECKING:
    from trackd_agent.probes import Probe

#: A call into a vendor's library that takes longer ends the process. The agent gives up sooner;
#: this is for the case that it was killed meanwhile and nobody is there to end us.
STUCK_S = 60.0
#: Without a question for so long the process leaves, with status 0: one that has a library loaded
#: keeps a driver from being reset, unloaded or configured anew.
IDLE_S = 300.0


def main() -> None:
    """Answer requests from standard input, one line each, until it ends."""
    name, options = sys.argv[1], json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}")
    # Libraries print to standard output as they like: answers go to a descriptor of their own.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    probe: Probe | None = None
    while select.select([0], [], [], IDLE_S)[0]:  # nothing is in the buffer: one line at a time
        if not (line := sys.stdin.buffer.readline()):
            break
        # A thread in C that needs no interpreter lock, which a stuck library may hold.
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        try:
            if probe is None:
                probe = _open(name, options)
            answer: dict[str, Any] = {"ok": _answer(probe, json.loads(line))}
        except AbsentError as reason:
            answer = {"absent": str(reason)}
        except Exception as error:  # noqa: BLE001 (seam: the agent decides what an error means)
            answer = {"error": f"{type(error).__name__}: {error}"}
        faulthandler.cancel_dump_traceback_later()
        answers.write(json.dumps(answer, allow_nan=True).encode() + b"\n")
        answers.flush()
    os._exit(0)  # without waiting for threads that a library keeps


def _open(name: str, options: dict[str, Any]) -> Probe:
    module = importlib.import_module(f"trackd_agent.probes.{name}")
    return cast("Probe", module.open(options))


def _answer(probe: Probe, line: dict[str, Any]) -> dict[str, Any]:
    if line["ask"] == "describe":
        return probe.describe()
    return probe.read(line.get("request", {}))


if __name__ == "__main__":
    main()
