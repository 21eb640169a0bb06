"""The one NATS connection of a process: FastStream's broker on a nats-py client that never gives up.

Both need correcting for that: nats-py in ``wire``, and FastStream's broker below. Its error callback raises on some
errors, which ends nats-py's reconnecting without a word, and prints a traceback for each of the others.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from faststream.exceptions import SetupError
from faststream.nats import NatsBroker
from faststream.nats.security import NatsCredentials, NatsSecurity, NatsToken
from nats import errors
from nats.aio import transport
from nats.aio.client import Client

from trunkline.bus.wire import DENIED, WireClient
from trunkline.domain.errors import NotConfigured, Unavailable
from trunkline.settings import Settings

log = logging.getLogger(__name__)

RECONNECT_EVERY = 0.2  # seconds
PING_EVERY = 3  # seconds; a peer that is silent for three of them is given up
FIRST_CONTACT = 3  # seconds that one attempt may take
_LONGEST_DELAY = 2.0
_CLOSE_WITHIN = 0.5

Callback = Callable[[], Awaitable[None]]


class Refused(Exception):
    """An attempt at first contact failed. Not an error of nats-py's family, which its loops would swallow."""


class _Broker(NatsBroker):
    """FastStream's broker. Connection errors go to our callback alone."""

    async def _connect(self) -> Client:
        client = WireClient()
        try:
            await client.connect(**self._connection_kwargs)
        except BaseException:
            await _close(client)
            raise
        self.config.connect(client)
        return client

    def _log_connection_broken(self, error_cb: Any = None) -> Any:
        return error_cb

    def _log_reconnected(self, cb: Any = None) -> Any:
        return cb


class Line:
    """Connects, and tells of loss and return once each: in the log, and by ``on_reconnected``."""

    def __init__(self, settings: Settings, name: str, on_reconnected: Callback) -> None:
        self._settings, self._name = settings, name
        self._servers = _servers(settings.nats_url)
        self._on_reconnected = on_reconnected
        self._established = self._closed = False
        self._failures = 0
        self._away = False
        self._denied = self._noted = ""
        self.broker: NatsBroker

    @property
    def client(self) -> WireClient:
        client = self.broker.connection
        assert isinstance(client, WireClient)
        return client

    @property
    def connected(self) -> bool:
        return self._established and self.client.is_connected

    async def connect(self, wait: float | None) -> None:
        """First contact; with ``wait``, tried for so many seconds.

        Raises:
            Unavailable: no server could be reached, or none let us in.
            NotConfigured: the settings contradict each other, or need a library that is missing.
        """
        deadline = time.monotonic() + (wait or 0.0)
        delay, told = 0.1, False
        while (reason := await self._attempt()) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable(what=f"NATS ({_shown(self._servers)})", reason=reason)
            if not told:
                log.warning("NATS cannot be reached yet (%s): %s; trying on", _shown(self._servers), reason)
                told = True
            await asyncio.sleep(min(delay, left))
            delay = min(delay * 2, _LONGEST_DELAY)
        self._established = True

    async def close(self) -> None:
        """End the connection, once; what was written is sent first if there is a server."""
        if self._closed:
            return
        self._established, self._closed = False, True
        client = self.client
        if client.is_connected:
            try:
                await self.broker.stop()
            except (RuntimeError, errors.Error, OSError) as error:  # RuntimeError: what uvloop says of a lost socket
                log.info("NATS went away while the connection was closed: %s", error)
            else:
                return
        await _close(client)

    async def _attempt(self) -> str | None:
        """Why this attempt failed; ``None`` when it did not."""
        self._failures = 0
        if any(server.startswith(("ws://", "wss://")) for server in self._servers):
            _load_websockets()
        self.broker = self._new_broker()
        try:
            await self.broker.connect()
        except (Refused, errors.Error, OSError) as error:
            return str(error)
        return None

    def _new_broker(self) -> NatsBroker:
        try:
            return _Broker(
                self._servers,
                name=f"trunkline {self._name}",
                security=_security(self._settings, self._servers),
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_EVERY,  # type: ignore[arg-type]  # used in sums and sleeps only
                connect_timeout=FIRST_CONTACT,
                ping_interval=PING_EVERY,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_back,
                logger=None,
            )
        except SetupError as error:
            raise NotConfigured(what="One way to log in to NATS", fix=str(error)) from None

    async def _on_error(self, error: Exception) -> None:
        text = _reason(error)
        if self._closed:
            return
        if not self._established:
            self._failures += 1
            if self._failures >= len(self._servers):
                raise Refused(text)
        elif DENIED in text:
            if text != self._denied:
                log.error("NATS denies: %s", text)
            self._denied = text
        elif not self.client.is_connected:
            self._say_away(text)
        elif text != self._noted:  # messages that came too fast and were dropped, a callback of ours that raised, …
            log.error("NATS's client: %s", text)
            self._noted = text

    async def _on_disconnected(self) -> None:
        if self._established:
            self._say_away("the connection was lost")

    async def _on_back(self) -> None:
        log.info("NATS is back")
        self._away = False
        await self._on_reconnected()

    def _say_away(self, reason: str) -> None:
        if not self._away:
            log.warning("NATS is away: %s; reconnecting until it is back", reason)
        self._away = True


def _load_websockets() -> None:
    """nats-py was loaded without them: few go that way, and it takes every process its time."""
    vars(transport).update({name: import_module(name) for name in ("aiohttp", "multidict")})


async def _close(client: Client) -> None:
    """Without a server. nats-py waits for ever for the end of a connection whose TLS handshake failed, and raises what
    ended others.
    """
    with suppress(TimeoutError, OSError, RuntimeError, errors.Error):
        async with asyncio.timeout(_CLOSE_WITHIN):
            await client.close()


def _servers(urls: str) -> list[str]:
    servers = [part.strip() for part in urls.split(",") if part.strip()]
    for server in servers or [""]:
        try:
            parts = urlsplit(server if "://" in server else f"nats://{server}")
            usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            raise NotConfigured(
                what="A usable TRUNKLINE_NATS_URL", fix=f"Write nats://host:4222 instead of {_shown([server])!r}."
            )
    return servers


def _security(settings: Settings, servers: list[str]) -> NatsSecurity:
    context = _tls(settings, servers)
    tls: dict[str, Any] = {"ssl_context": context, "use_ssl": context is not None}
    if settings.nats_credentials is not None:
        try:
            return NatsCredentials.from_file(settings.nats_credentials, **tls)
        except ImportError:
            raise NotConfigured(
                what="The library that reads TRUNKLINE_NATS_CREDENTIALS", fix="Install it with: pip install nkeys"
            ) from None
    if settings.nats_token is not None:
        return NatsToken(settings.nats_token.get_secret_value(), **tls)
    return NatsSecurity(**tls)


def _tls(settings: Settings, servers: list[str]) -> ssl.SSLContext | None:
    """A context when TLS is asked for: by the URL, a CA or a certificate."""
    asked = any(server.startswith(("tls://", "wss://")) for server in servers)
    if not (asked or settings.nats_ca or settings.nats_cert):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.nats_ca)
        if settings.nats_cert is not None:
            context.load_cert_chain(settings.nats_cert, settings.nats_key)
    except OSError as error:
        raise NotConfigured(
            what="A readable TRUNKLINE_NATS_CA, TRUNKLINE_NATS_CERT or TRUNKLINE_NATS_KEY", fix=_reason(error)
        ) from None
    return context


def _reason(error: BaseException) -> str:
    """One line; nats-py's errors begin with its name, and some have no text."""
    return " ".join(str(error).removeprefix("nats: ").split()) or type(error).__name__


def _shown(servers: list[str]) -> str:
    """The servers without user and password."""
    return ", ".join(server.rpartition("@")[2] for server in servers)
