"""The metadata file of a run at one server, kept as the environments of its writers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.runs.state.environments import wants_environment
from trackd_agent.runs.upload import ending
from trackd_agent.runs.upload.coreweave import Cluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import TaskGroup

    from trackd_agent.runs.state.writer_state import WriterState
    from trackd_agent.runs.upload.upsert import Upsert
    from trackd_agent.upstream import Courier


class Metadata:
    """Brings the file whenever it has changed, and looks for the cluster of the machine.

    Args:
        courier: the run's way to its server.
        upsert: what the server knows of the run.
        states: returns the states of all writers by writer id.
        bring: writes files by name and has them uploaded.
    """

    def __init__(
        self,
        courier: Courier,
        upsert: Upsert,
        states: Callable[[], Mapping[str, WriterState]],
        bring: Callable[[Mapping[str, bytes]], Awaitable[None]],
    ) -> None:
        self._courier = courier
        self._upsert = upsert
        self._states = states
        self._bring = bring
        self._brought: Mapping[str, bytes] = {}
        #: None: nobody wants to know where the machine is.
        self._cluster: Cluster | None = None

    async def bring(self) -> None:
        """Write the file as it is now and have it uploaded, if that is news."""
        content = ending.metadata_content(self._states())
        if content != self._brought:
            self._brought = content
            await self._bring(content)

    def joined(self, state: WriterState, tasks: TaskGroup) -> None:
        """Have the cluster in the environment of a writer of this machine, if it wants one."""
        if not wants_environment(state.start):
            return
        if self._cluster is None:
            self._cluster = Cluster(self._courier, state.start.settings)
            tasks.start_soon(self._look, self._cluster)
        state.found |= self._cluster.found

    async def settled(self) -> None:
        """Wait until nothing more is found; not for long, see `Cluster.look`."""
        if self._cluster is not None:
            await self._cluster.known.wait()

    async def _look(self, cluster: Cluster) -> None:
        await self._upsert.ready.wait()
        await cluster.look(self._upsert.path.entity)
        if not cluster.found:
            return
        for state in self._states().values():
            if wants_environment(state.start):
                state.found |= cluster.found
        self._upsert.mark()
        await self.bring()
