"""What an agent that several users share does for each of them."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest

from trackd_agent.artifacts.saves import Saves
from trackd_agent.core.errors import NotAllowed
from trackd_agent.rpc.artifact_service import ArtifactService
from trackd_proto.v1 import artifact_pb2


class Call:
    """The end of a call that the service sees."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def peer(self) -> str:
        return f"unix-abstract:trackd-{self._uid}-1-ab"


async def test_keys_and_saves_of_one_user_are_not_for_others(tmp_path: Any) -> None:
    service = ArtifactService(cast("Any", None), Saves(tmp_path), cast("Any", None))
    other = Call(os.getuid() + 1)
    theirs = artifact_pb2.QueryRequest()
    theirs.server.base_url = "https://api.example"
    with pytest.raises(NotAllowed, match="a key that it keeps"):
        await service.Query(theirs, other)
    with pytest.raises(NotAllowed, match="the list of saves"):
        await service.ListSaves(artifact_pb2.ListSavesRequest(), other)
    own = await service.ListSaves(artifact_pb2.ListSavesRequest(), Call(os.getuid()))
    assert not own.saves
