"""The save of a logged artifact, which the agent makes: waiting for it, and giving it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.artifacts.errors import WaitTimeoutError
from trackd.artifacts.online.progress import Progress
from trackd.errors import CommError

if TYPE_CHECKING:
    from trackd.remote.connection import Remote

_STATES = {1: "waiting", 2: "", 3: "committing"}


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
            CommError: the agent does not answer.
        """
        link = self.remote.link
        from trackd.sending.agent_link import AgentCallError
        from trackd_proto.v1 import artifact_pb2

        request = artifact_pb2.WatchSaveRequest(client_id=self._client_id)
        last = artifact_pb2.SaveStatus()
        try:
            with Progress(self.remote.settings, f"uploading {self._name}") as progress:
                for last in link.watch_save(request, timeout_s):
                    files = last.files_done, last.files_total
                    size = last.bytes_done, last.bytes_total
                    progress.show(files, size, last.error or _STATES.get(last.state, ""))
        except AgentCallError as error:
            if error.is_timeout:
                raise WaitTimeoutError(
                    f"wait(): artifact {self._name!r} is not at the server after {timeout_s} s; "
                    "its upload goes on: wait() again, or longer"
                ) from error
            raise CommError(f"wait() for artifact {self._name!r}: {error.message}") from error
        if last.state != artifact_pb2.SAVE_STATE_COMMITTED:
            raise ValueError(f"artifact {self._name!r} was not saved: {last.error or 'given up'}")
        return last.artifact_id

    def cancel(self) -> bool:
        """Give the save up; return False where it had ended.

        Raises:
            CommError: the agent does not answer.
        """
        link = self.remote.link
        from trackd.sending.agent_link import AgentCallError

        try:
            return link.cancel_save(self._client_id)
        except AgentCallError as error:
            raise CommError(f"cancel() of artifact {self._name!r}: {error.message}") from error
