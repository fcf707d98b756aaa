"""`Remote`: one server, asked through the agent."""

from __future__ import annotations

import json
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from trackd.context import agent_settings
from trackd.errors import AuthenticationError, CommError
from trackd.remote.answers import part, understood
from trackd.remote.operations import SERVER_FEATURES, VIEWER
from trackd.sending import quiet_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from trackd.remote.operations import Operation
    from trackd.sending.artifact_link import ArtifactLink
    from trackd.settings import Settings
    from trackd_proto.v1 import artifact_pb2

_TIMEOUT_S = 60.0
#: Fields that only servers with a feature know.
_FEATURE_OF_FIELD = {"digestAlgorithm": "ARTIFACT_DIGEST_ALGORITHM"}


class Remote:
    """A server as this process reaches it.

    Args:
        settings: address, key, proxies, headers and timeouts; without an address the agent's own
            server is meant.

    Every call may raise `CommError`: the agent or the server does not answer, or refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        #: Longest time for one operation, where the caller says nothing else.
        self.timeout_s = _TIMEOUT_S
        self._lock = threading.RLock()
        #: The process whose lock and connection these are.
        self._pid = os.getpid()
        self._link: ArtifactLink | None = None
        self._address = ""
        self._features: frozenset[str] | None = None
        self._viewer: dict[str, Any] | None = None
        #: Objects of this server by id, as long as somebody holds them.
        self.seen: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        #: While training runs nothing is asked before this time: the server was away.
        self.quiet_until_s = 0.0
        #: Types of collections that are known, by path; at most 1,000.
        self.types: dict[str, str] = {}

    @classmethod
    def of_server(cls, base_url: str = "", api_key: str = "") -> Self:
        """Return a server by its address.

        Args:
            base_url: address; empty: that of the settings of this process.
            api_key: its key; empty: the one that is known for it.
        """
        from trackd.account import keys
        from trackd.session import session

        settings = session().set_up().copy()
        if base_url and base_url.rstrip("/") != settings.base_url:
            settings.base_url, settings.api_key = base_url, None
        if api_key:
            settings.api_key = api_key
        if settings.base_url and not settings.api_key:
            settings.api_key = keys.find(settings.base_url)[0] or None
        return cls(settings)

    # --- asking ------------------------------------------------------------------------------

    @property
    def is_forked(self) -> bool:
        """Whether each question costs a process: gRPC does not work in a forked one."""
        from trackd.session import session  # the session knows runs, which know servers

        return session().is_forked

    @property
    def link(self) -> ArtifactLink:
        """The connection to the agent."""
        with self._guard:
            if self._link is None:
                quiet_grpc.load()
                if self.is_forked:
                    from trackd.sending.bridge import BridgedLink as Link
                else:
                    from trackd.sending.artifact_link import ArtifactLink as Link  # loads gRPC

                self._link = Link()
            return self._link

    @property
    def _guard(self) -> threading.RLock:
        """The lock of what is remembered; in a forked process another one, without a connection."""
        if os.getpid() != self._pid:
            self._lock, self._link, self._pid = threading.RLock(), None, os.getpid()
        return self._lock

    def server_ref(self) -> artifact_pb2.ServerRef:
        """Return the server in the words of the agent."""
        quiet_grpc.load()
        from trackd_proto.v1 import artifact_pb2

        return artifact_pb2.ServerRef(
            base_url=self.settings.base_url or "",
            api_key=self.settings.api_key or "",
            settings_json=msgspec.json.encode(agent_settings(self.settings)),
        )

    def execute(
        self,
        operation: Operation,
        variables: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send an operation; return the member `data` of the answer.

        Args:
            operation: fields that this server does not know are left out.
            variables: of the operation.
            timeout_s: longest time for it, repetitions of the agent included; None: `timeout_s`
                of this object.

        Raises:
            CommError: the server refuses the operation, or nobody answers in time.
            AuthenticationError: the server does not take the key.
        """
        unknown = [field for field in _FEATURE_OF_FIELD if self._lacks(operation, field)]
        return self._ask(operation.without(*unknown), variables or {}, timeout_s or self.timeout_s)

    def _lacks(self, operation: Operation, field: str) -> bool:
        return field in operation.text and _FEATURE_OF_FIELD[field] not in self.features

    def _ask(
        self, operation: Operation, variables: Mapping[str, Any], timeout_s: float
    ) -> dict[str, Any]:
        link, server = self.link, self.server_ref()
        from trackd.sending.agent_link import AgentCallError
        from trackd_proto.v1 import artifact_pb2

        request = artifact_pb2.QueryRequest(
            server=server,
            operation_name=operation.name,
            query=operation.text,
            variables_json=json.dumps(variables).encode(),
            timeout_s=timeout_s,
        )
        try:
            answer = link.query(request)
        except AgentCallError as error:
            kind = AuthenticationError if error.is_unauthenticated else CommError
            raise kind(error.message) from error
        self._address = answer.base_url or self._address
        return json.loads(answer.data_json or b"{}")

    # --- the server --------------------------------------------------------------------------

    @property
    def features(self) -> frozenset[str]:
        """Names of what the server can do, asked once."""
        with self._guard:
            if self._features is None:
                answer = self._ask(SERVER_FEATURES, {}, self.timeout_s)
                with understood(SERVER_FEATURES.name):
                    found: list[dict[str, Any]] = part(answer, "serverInfo", "features") or []
                    self._features = frozenset(one["name"] for one in found if one["isEnabled"])
            return self._features

    @property
    def default_entity(self) -> str:
        """User or team of the settings; else whom the key belongs to. Empty: nobody knows."""
        return self.find_entity(self.timeout_s)

    def find_entity(self, timeout_s: float) -> str:
        """Return `default_entity`, asking for so many seconds at most."""
        if self.settings.entity:
            return self.settings.entity
        with self._guard:
            if self._viewer is None:
                self._viewer = self._ask(VIEWER, {}, timeout_s)
            with understood(VIEWER.name):
                return part(self._viewer, "viewer", "entity") or ""

    @property
    def base_url(self) -> str:
        """Address of the server, without a slash at its end."""
        if not self.settings.base_url and not self._address:
            self._ask(VIEWER, {}, self.timeout_s)
        return (self.settings.base_url or self._address).rstrip("/")

    @property
    def app_url(self) -> str:
        """Address of the pages for people."""
        return (self.settings.app_url or self.base_url).rstrip("/")
