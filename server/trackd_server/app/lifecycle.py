"""From options to a serving process and back: what starts and stops in which order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import uvicorn

from trackd_server.api.app import build_app
from trackd_server.api.context import Services
from trackd_server.app import connections, directory, upkeep
from trackd_server.app.config import ServerConfig
from trackd_server.app.directory import StartError
from trackd_server.blobs import BlobFolder
from trackd_server.domain.artifacts import Artifacts
from trackd_server.domain.auth import Keys
from trackd_server.domain.files import Files
from trackd_server.domain.runs import Runs
from trackd_server.domain.storage import Storage
from trackd_server.domain.streams import Streams
from trackd_server.domain.usage import Limit
from trackd_server.store import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseFull,
    SchemaTooNew,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from anyio.abc import TaskStatus


log = logging.getLogger(__name__)

#: Time that requests in progress get after SIGTERM.
GRACE_S = 3
#: Idle connections are kept so long; clients pause 15 to 30 s between requests.
KEEP_ALIVE_S = 75
DAY_S = 86_400.0


class _Server(uvicorn.Server):
    """Uvicorn, with the signals left to us."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Install nothing."""
        yield


async def serve(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT or (if asked for) the end of standard input.

    Calls `announce` with the address once requests are answered.

    Raises:
        StartError: The directory, the database or the port cannot be used.
    """
    async with AsyncExitStack() as stack:
        connections.allow_many_files()
        stack.enter_context(directory.held_directory(config))
        listener = stack.enter_context(directory.listen(config))
        services = await anyio.to_thread.run_sync(open_services, config)
        stack.callback(services.database.close)
        address = _address(config, listener)
        directory.write_private(config.address, address + "\n")
        stack.callback(config.address.unlink, missing_ok=True)
        server = _Server(
            uvicorn.Config(
                build_app(services),
                http=connections.BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(_stop_on_signal, server)
            if config.exit_on_stdin_close:
                tasks.start_soon(_stop_on_stdin_close, server)
            tasks.start_soon(upkeep.give_back, services.storage)
            tasks.start_soon(upkeep.index, services.storage)
            tasks.start_soon(upkeep.compress, services.storage)
            tasks.start_soon(upkeep.expire, services.artifacts, services.pending_s)
            tasks.start_soon(upkeep.keep_reserve, services.database)
            announce(address)
            await server.serve(sockets=[listener])
            await _cut_off(server.server_state.tasks)
            tasks.cancel_scope.cancel()


async def _cut_off(requests: set[asyncio.Task[None]]) -> None:
    """Wait for requests that were cut off, so that their threads end before the database closes.

    Uvicorn does not cut them off when a second signal comes.
    """
    for request in requests:
        if not request.cancelling():
            request.cancel()
    if requests:
        await asyncio.wait(requests)


def open_services(config: ServerConfig) -> Services:
    """Open the database and the blobs, bring them up to date, and return the services on them."""
    try:
        key = directory.ensure_api_key(config)
        database = Database(config.database)
        database.reserve.give_up()
        blobs = BlobFolder(config.blobs)
        done = database.migrate()
        storage = Storage(database, blobs)
        swept = storage.recover()
    except (SchemaTooNew, DatabaseBusy, DatabaseDamaged, DatabaseFull, OSError) as error:
        message = f"Cannot use {config.database}: {error}"
        if isinstance(error, DatabaseDamaged):
            message += ". Put a copy in its place, or move it away to begin with an empty one."
        raise StartError("DATABASE_UNUSABLE", message) from error
    log.info("store_opened", extra={"facts": {"schema": done, "swept_blobs": swept}})
    hosts = frozenset({config.host, socket.gethostname()} - {ServerConfig.host})
    return Services(
        database,
        blobs,
        Keys(key),
        Runs(storage),
        Streams(database),
        Files(storage),
        storage,
        Artifacts(database, storage),
        Limit(storage, config.max_storage_bytes),
        hosts,
        config.coreweave_organization_id,
        config.pending_days * DAY_S,
    )


async def _stop_on_signal(
    server: uvicorn.Server, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if server.should_exit:  # the second one: at once
                server.force_exit = True
            log.info("stopping", extra={"facts": {"signal": signal.Signals(number).name}})
            server.should_exit = True


async def _stop_on_stdin_close(server: uvicorn.Server) -> None:
    """Stop when the process that holds the other end of standard input is gone."""
    while await anyio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass
    log.info("stopping", extra={"facts": {"reason": "stdin closed"}})
    server.should_exit = True


def _address(config: ServerConfig, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
