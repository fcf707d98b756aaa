"""Where the saves of a run go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.upstream import Courier, RunPath


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the versions of a run go.

    Attributes:
        courier: the run's way to the server, for its artifacts only.
        path: the run there.
        headers: further headers of GraphQL calls.
        is_main: whether this is what people mean who ask about a save; False: a mirror.
    """

    courier: Courier
    path: RunPath
    headers: Mapping[str, str]
    is_main: bool = True
