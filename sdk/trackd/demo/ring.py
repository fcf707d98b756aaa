"""Averages arrays over the ranks, as a training framework's all-reduce does, on a Unix socket.

Rank 0 collects, averages and hands back. Enough for a demonstration on one machine.
"""

from __future__ import annotations

import time
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float64]]
    #: `Connection` on POSIX; its type depends on the platform.
    Peer = Any

_CONNECT_TIMEOUT_S = 30.0


class Ring:
    """The connections between the ranks; a context manager."""

    def __init__(self, address: str, rank: int, ranks: int) -> None:
        self._others: list[Peer] = []
        if rank == 0:
            with Listener(address, family="AF_UNIX", backlog=ranks) as listener:
                self._others = [listener.accept() for _ in range(ranks - 1)]
        else:
            self._others = [_connect(address)]
        self._leads = rank == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._others:
            connection.close()

    def mean(self, own: Arrays) -> Arrays:
        """Return the mean over all ranks; every rank calls this at the same point."""
        if not self._leads:
            (leader,) = self._others
            leader.send(own)
            return leader.recv()
        everyone = [own, *(connection.recv() for connection in self._others)]
        mean: Arrays = {name: np.mean([each[name] for each in everyone], axis=0) for name in own}
        for connection in self._others:
            connection.send(mean)
        return mean


def _connect(address: str) -> Peer:
    deadline_s = time.monotonic() + _CONNECT_TIMEOUT_S
    while True:
        try:
            return Client(address, family="AF_UNIX")
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
