"""Artifacts: collections, their versions, manifests, aliases, links, and how long they live.

Knows what a version consists of; bytes are `domain.storage`'s. Called by `api`, and by the server's
sweep.
"""

from trackd_server.domain.artifacts.artifacts import Artifacts

__all__ = ["Artifacts"]
