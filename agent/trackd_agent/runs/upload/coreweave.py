"""What CoreWeave tells its machines about the cluster they are in.

Asked only where the server says that the run's organization has an account there, as the W&B
client does. The answer of the metadata service also carries keys to the cluster: of its text
only three values are ever kept, and nothing of it gets into a log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import msgspec
import structlog

from trackd_agent.upstream import RequestFailed
from trackd_proto.wandb_http.operations import COREWEAVE_ORGANIZATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.upstream import Courier

log = structlog.get_logger()

#: Where the metadata service is; `x_stats_coreweave_metadata_*` say otherwise.
BASE_URL = "http://169.254.169.254"
ENDPOINT = "/api/v2/cloud-init/meta-data"
#: Longest wait for the whole answer, and the longest answer.
TIMEOUT_S = 5.0
MAX_BYTES = 64 * 1024
#: Names in the answer, and in the environment of a run.
_KEPT = {"cluster_name": "clusterName", "org_id": "orgId", "region": "region"}
_MAX_VALUE_CHARS = 1000


class _Organization(msgspec.Struct, rename="camel"):
    core_weave_organization_id: str | None = None


class _Entity(msgspec.Struct):
    organization: _Organization | None = None


class _Answer(msgspec.Struct):
    entity: _Entity | None = None


class Cluster:
    """The cluster of this machine, asked for once for a run and a server.

    Whatever fails is said in the log, and costs the run nothing else.

    Args:
        courier: the run's way to its server.
        settings: of the run.

    Attributes:
        found: the part of the environment; empty where this is not CoreWeave.
        known: set when nothing more will be found.
    """

    def __init__(self, courier: Courier, settings: Mapping[str, Any]) -> None:
        self.found: dict[str, Any] = {}
        self.known = anyio.Event()
        self._courier = courier
        base_url = str(settings.get("x_stats_coreweave_metadata_base_url") or BASE_URL)
        endpoint = str(settings.get("x_stats_coreweave_metadata_endpoint") or ENDPOINT)
        self._url = f"{base_url.rstrip('/')}/{endpoint.lstrip('/')}"

    async def look(self, entity: str) -> None:
        """Ask the server about the run's entity, and if it says so the metadata service."""
        try:
            with anyio.fail_after(TIMEOUT_S):
                has_account = await _has_account(self._courier, entity)
            if has_account:
                with anyio.fail_after(TIMEOUT_S):
                    cluster = parse(await _fetch(self._url))
                self.found = {"coreweave": cluster} if cluster else {}
        except (RequestFailed, msgspec.ValidationError) as error:
            log.debug("coreweave_account_not_told", problem=str(error))
        # The message of an error may quote what was received: its kind has to do.
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.info("coreweave_metadata_not_read", problem=type(error).__name__)
        finally:
            self.known.set()


def parse(text: str) -> dict[str, str]:
    """Return what is kept of the metadata service's answer: lines `name: value`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if (kept := _KEPT.get(name.strip())) and value.strip():
            found[kept] = value.strip()[:_MAX_VALUE_CHARS]
    return found


async def _has_account(courier: Courier, entity: str) -> bool:
    variables = {"entityName": entity}
    data = await courier.upstream.graphql(COREWEAVE_ORGANIZATION, variables, None, courier.manner)
    found = msgspec.convert(data, _Answer).entity
    organization = found.organization if found else None
    return bool(organization and organization.core_weave_organization_id)


async def _fetch(url: str) -> str:
    """Return the text at an address of this machine's own network: no proxy, no redirects.

    Raises:
        httpx.HTTPError: no answer, or one that says no.
        ValueError: the answer is too long.
    """
    content = bytearray()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client,
        client.stream("GET", url) as response,
    ):
        if not response.is_success:
            raise httpx.HTTPError(f"HTTP {response.status_code}")
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise ValueError("too long")
    return content.decode(errors="replace")
