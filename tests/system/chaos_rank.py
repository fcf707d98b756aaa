"""One rank of the chaos test: logs at full speed and notes every row whose `log()` returned.

The note is one unbuffered append to a side file of its own, so it survives a SIGKILL right after.
What a row holds follows from (rank, number), so that a changed row is noticed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

RUN_ID = "chaos"
PROJECT = "chaos"
NUMBER_BYTES = 8
#: The last part of the rows comes without any pause: the last blow falls at full speed.
PAUSES_UNTIL = 0.8


def row_of(rank: int, n: int) -> dict[str, Any]:
    """Return the n-th row of a rank."""
    value = (rank * 1_000_003 + n * 7_919) % 1_000_000_007
    return {"rank": rank, "n": n, "loss": value / 997, "note": f"{rank}/{n}/{value:x}"}


def main() -> None:
    """Log rows in bursts, then stay until somebody kills this process (or finish)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--side", required=True)
    parser.add_argument("--burst", type=int, default=1000, help="rows at full speed between pauses")
    parser.add_argument("--pause-s", type=float, default=0.0)
    parser.add_argument("--finish", action="store_true")
    args = parser.parse_args()

    import trackd

    run = trackd.init(
        project=PROJECT,
        id=RUN_ID,
        settings=trackd.Settings(x_label=f"rank{args.rank}", console="off"),
    )
    side = os.open(args.side, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for n in range(args.rows):
        run.log(row_of(args.rank, n))
        os.write(side, n.to_bytes(NUMBER_BYTES, "little"))
        if n % args.burst == args.burst - 1 and n < args.rows * PAUSES_UNTIL:
            time.sleep(args.pause_s)
    if args.finish:
        run.finish()
        return
    sys.stdout.write("done\n")
    sys.stdout.flush()
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
