"""Runs the gateway: Postgres first, NATS whenever it can be reached, uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from typing import Any

import uvicorn

from trunkline.bus.connection import Bus
from trunkline.domain.errors import NotConfigured, Unavailable
from trunkline.gateway.app import layered
from trunkline.gateway.connections import BACKLOG, Connections
from trunkline.gateway.desk import Desk
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.store import version
from trunkline.store.database import Database

log = logs.get("gateway")

DRAIN = 10  # seconds that requests under way get at the end
AGAIN = 1.0  # seconds between two attempts to reach NATS
FIRST_JOIN = 3.0  # seconds that the first requests wait for NATS, so that they need not wait for the supervisor
TICK = 1.0  # seconds: of the answers' Date header
FOREVER = 10 * 365 * 86400.0  # seconds


async def serve(settings: Settings, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
    """Serve until ``stop`` is set; ``on_ready`` gets the base URL when requests are taken. Waits for Postgres.

    Raises:
        NotConfigured: it would listen beyond loopback without API keys.
        TopologyDrift: a stream is configured differently than this version needs.
        SchemaMismatch: the database needs ``trunkline migrate``.
    """
    if not settings.api_keys and not _is_loopback(settings.host):
        fix = "Set TRUNKLINE_API_KEYS=tenant=key, or listen on 127.0.0.1."
        raise NotConfigured(what=f"An API key for a gateway on {settings.host}", fix=fix)
    db = await _database(settings, stop)
    if db is None:
        return
    try:
        await version.check(db, wait=settings.schema_wait)
        await _serve(Desk(settings, db), stop, on_ready)
    finally:
        await db.close()


async def _database(settings: Settings, stop: asyncio.Event) -> Database | None:
    """A way to Postgres, however long it takes; ``None`` if ``stop`` was set first."""
    opening = asyncio.create_task(Database.of(settings, wait=FOREVER, name="gateway"))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()
    return None


async def _serve(desk: Desk, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
    settings = desk.settings
    config = uvicorn.Config(
        layered(desk),
        host=settings.host,
        port=settings.port,
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=DRAIN,
        backlog=BACKLOG,
    )
    server = _Server(config, on_ready, desk.following.close)
    joining = asyncio.create_task(_join(desk))
    await asyncio.wait({joining}, timeout=FIRST_JOIN)
    if joining.done():
        joining.result()
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.end()
    await serving
    for task in (joining, stopping):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await desk.backlog.close()
    if desk.bus is not None:
        await desk.bus.close()


async def _join(desk: Desk) -> None:
    """Reach NATS, however long it takes; what is accepted meanwhile is woken by the supervisor."""
    bus = await Bus.connect(desk.settings, name="gateway", wait=FOREVER)
    try:
        await _declare(bus)
    except BaseException:
        await bus.close()
        raise
    desk.joined(bus)


async def _declare(bus: Bus) -> None:
    """A server that has just started may take a moment until JetStream answers."""
    while True:
        try:
            return await bus.declare()
        except Unavailable as error:
            log.warning("the streams cannot be declared yet", reason=str(error))
            await asyncio.sleep(AGAIN)


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str], None], let_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready, self._let_go = on_ready, let_go
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Take no more requests, and finish those that are under way."""
        self.should_exit = True
        self._ending.set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Those who listen come again at once: they are let go when this door is closed, and not before."""
        self._connections.close()
        for server in self.servers:
            server.close()
        self._let_go()
        await super().shutdown(sockets)

    async def main_loop(self) -> None:
        """uvicorn's own looks ten times a second whether it should end; its clock ticks once."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._ending.wait()

    async def serve(self, sockets: list[socket] | None = None) -> None:
        await self._serve(sockets)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        listening = [one for server in self.servers for one in server.sockets]
        self._connections = Connections(listening, self._protocol)
        host, port = listening[0].getsockname()[:2]
        self._on_ready(f"http://{host}:{port}")

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection."""
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
