"""Files of agents on this machine, taken over as they are: part of the chunk protocol.

`known` tells callers on a loopback connection the server's inbox. Who can enter that folder (it has
the server's user id and disk) links files into it, and asks::

    POST /api/v1/artifacts/{id}/adopt {"files": [[path, algorithm, digest, size, name], ...]}
        -> {"adopted": [bool, ...]}

with the name of each link. What was taken is kept for the artifact until its commit; the link is
gone then. What was not has to be sent.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from trackd_proto import chunks as protocol
from trackd_server.api import access
from trackd_server.api.bodies import read_decoded
from trackd_server.api.context import services_of
from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest, NotAllowed, Unavailable
from trackd_server.domain.storage import packing
from trackd_server.domain.storage.adopting import Offer

if TYPE_CHECKING:
    from starlette.requests import Request

_MAX_BODY_BYTES = 16 * 1024 * 1024


class _Offers(msgspec.Struct):
    """Files in the inbox: path, algorithm, digest, size, name."""

    files: list[tuple[str, str, bytes, int, str]]


_offers = msgspec.msgpack.Decoder(_Offers)


def inbox(request: Request) -> str | None:
    """Return where a caller may leave files; None: it is on another machine."""
    if not _is_here(request):
        return None
    return str(services_of(request).storage.adoption.inbox.folder)


async def adopt(request: Request) -> Response:
    """Take files of the inbox over, and keep them for the artifact."""
    access.require_key(request)
    version_id = names.row_number("Artifact", request.path_params["artifact_id"])
    if not _is_here(request):
        raise NotAllowed("Files are taken over only from callers on the server's machine.")
    files = (await read_decoded(request, _MAX_BODY_BYTES, _offers.decode)).files
    if len(files) > protocol.MAX_FILES_AT_ONCE:
        raise InvalidRequest(
            f"{len(files)} files in one request: send at most {protocol.MAX_FILES_AT_ONCE} at once."
        )
    offers = [Offer(packing.checked_name(*file[1:4]), file[4]) for file in files]
    services = services_of(request)
    await services.call(services.limit.check, sum(offer.content[2] for offer in offers))
    try:
        adopted = await services.call(services.storage.adoption.adopt, version_id, offers)
    except OSError as error:
        raise Unavailable(f"The files could not be taken over: {error}") from error
    answer = msgspec.msgpack.encode({"adopted": adopted})
    return Response(answer, media_type="application/msgpack")


def _is_here(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
