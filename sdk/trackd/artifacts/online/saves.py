"""The save of a logged artifact, which the agent makes: waiting for it, and giving it up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from trackd.artifacts.errors import WaitTimeoutError
from trackd.artifacts.online.logged import logged_of
from trackd.artifacts.online.progress import Progress, Trouble
from trackd.errors import CommError
from trackd.logs import LOGGER
from trackd.remote.answers import part, understood
from trackd.remote.operations import ARTIFACT_BY_ID
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote
    from trackd.sending.artifact_link import ArtifactLink
    from trackd_proto.v1 import artifact_pb2

#: So long nothing may move at the end of a run until it is left to the agent, in seconds.
_STALLED_S = 10.0
#: Words for the states of saves that have not ended.
_STATES = {1: "waiting", 2: "", 3: "committing"}
#: States in which a request is under way: without a word of an error the server is just slow.
_AT_THE_SERVER = (2, 3)
#: Client ids of the last saves of which it was told that they made no version.
_TOLD: deque[str] = deque(maxlen=1000)


class Save:
    """One artifact on its way to the server.

    Args:
        remote: the server, as its run reaches it.
        client_id: of the artifact.
        name: of the artifact, to be shown.
    """

    def __init__(self, remote: Remote, client_id: str, name: str) -> None:
        self.remote = remote
        self._client_id = client_id
        self._name = name

    def wait(self, timeout_s: float | None) -> str:
        """Wait until the server has the version; return its id.

        Raises:
            WaitTimeoutError: the time is over; the save goes on.
            ValueError: the save failed, or was given up.
            CommError: the agent does not answer, or the upload has not begun.
        """
        link = self.remote.link
        from trackd.sending.agent_link import AgentCallError
        from trackd_proto.v1 import artifact_pb2

        request = artifact_pb2.WatchSaveRequest(client_id=self._client_id)
        last = artifact_pb2.SaveStatus()
        try:
            settings, name = self.remote.settings, self._name
            with (
                Progress(settings, f"uploading {name}") as progress,
                Trouble(settings, f"artifact {name!r}") as trouble,
            ):
                for last in link.watch_save(request, timeout_s):
                    trouble.note(last.error)
                    progress.show(*_counts(last), last.error or _STATES.get(last.state, ""))
        except AgentCallError as error:
            if error.is_timeout:
                raise WaitTimeoutError(
                    f"wait(): artifact {self._name!r} is not at the server after {timeout_s} s; "
                    "its upload goes on: wait() again, or longer"
                ) from error
            raise CommError(f"wait() for artifact {self._name!r}: {error.message}") from error
        if last.state != artifact_pb2.SAVE_STATE_COMMITTED:
            raise ValueError(f"artifact {self._name!r} was not saved: {last.error or 'given up'}")
        _tell_if_unchanged(last, self._name, Terminal(self.remote.settings))
        return last.artifact_id

    def result(self, timeout_s: float | None) -> Logged:
        """Wait until the server has the version; return what it says about it; see `wait`."""
        found = self.remote.execute(ARTIFACT_BY_ID, {"id": self.wait(timeout_s)})
        with understood(ARTIFACT_BY_ID.name):
            node = part(found, "artifact")
            if node is None:
                raise ValueError(
                    f"artifact {self._name!r} is saved, and gone again: it was deleted"
                )
            return logged_of(node, is_source=True)

    def cancel(self) -> bool:
        """Give the save up, also before it begins; return False where it is too late.

        Raises:
            CommError: the agent does not answer.
        """
        link = self.remote.link
        from trackd.sending.agent_link import AgentCallError

        try:
            return link.cancel_save(self._client_id)
        except AgentCallError as error:
            raise CommError(f"cancel() of artifact {self._name!r}: {error.message}") from error


def wait_for_all(remote: Remote, artifacts: Sequence[tuple[str, str]]) -> bool:
    """Wait at the end of a run until the server has its artifacts, as long as they move.

    Args:
        remote: the server of the run.
        artifacts: client ids and names.

    Returns:
        False where the agent goes on alone, since nothing moves.
    """
    link, terminal = remote.link, Terminal(remote.settings)
    from trackd.sending.agent_link import AgentCallError
    from trackd_proto.v1 import artifact_pb2

    for client_id, name in artifacts:
        try:
            with Progress(remote.settings, f"uploading {name}") as progress:
                last = _watch_while_moving(link, client_id, progress)
        except AgentCallError as error:
            LOGGER.info("artifacts are left to the agent: %s", error)
            return False
        if last is None:
            return False
        if last.state == artifact_pb2.SAVE_STATE_FAILED:
            terminal.error(f"artifact {name!r} was not saved: {last.error}")
        _tell_if_unchanged(last, name, terminal)
    return True


def _tell_if_unchanged(status: artifact_pb2.SaveStatus, name: str, terminal: Terminal) -> None:
    """Say once that a save made no version, since the server has one with these contents."""
    if status.is_unchanged and status.client_id not in _TOLD:
        _TOLD.append(status.client_id)
        terminal.info(
            f"artifact {name!r} is at the server with these contents: no new version is made"
        )


def _watch_while_moving(
    link: ArtifactLink, client_id: str, progress: Progress
) -> artifact_pb2.SaveStatus | None:
    """Watch a save; return its end, or None when nothing moves any more."""
    from trackd.sending.agent_link import AgentCallError
    from trackd_proto.v1 import artifact_pb2

    request = artifact_pb2.WatchSaveRequest(client_id=client_id)
    while True:
        first = last = artifact_pb2.SaveStatus()
        try:
            for number, last in enumerate(link.watch_save(request, _STALLED_S)):
                first = first if number else last
                progress.show(*_counts(last), last.error or _STATES.get(last.state, ""))
        except AgentCallError as error:
            if not error.is_timeout:
                raise
            if last == first and (last.error or last.state not in _AT_THE_SERVER):
                return None
        else:
            return last


def _counts(status: artifact_pb2.SaveStatus) -> tuple[tuple[int, int], tuple[int, int]]:
    files = status.files_done, status.files_total
    return files, (status.bytes_done, status.bytes_total)
