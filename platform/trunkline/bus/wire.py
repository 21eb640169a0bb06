"""nats-py's client as this package uses it: corrected where it would give up, and with two short ways.

``listen`` hands messages over as they are cut out of what the server sent (``parsing``), and ``write`` puts a batch of
commands on the socket with one call. On one core nats-py's own way carries about a quarter of that.

What is corrected: nats-py closes for good on most errors that a server sends to a live connection ("authentication
expired" among them), speaks plain TCP to a server that offers no TLS even when TLS was asked for, now and then loses
the word of a server that refuses it, stops reading for good at a subject or header that is not UTF-8, which any
publisher may send, and has its PING overtake the UNSUB that it is to answer for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats import errors
from nats.aio.client import PING_PROTO, Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from trunkline.bus.parsing import Listener, Reader

log = logging.getLogger(__name__)

DENIED = "permissions violation"
_UNSENT = 256 * 1024  # bytes that the socket has not taken; beyond them whoever sends waits


class _Transport(TcpTransport):
    """Sends CONNECT together with the PING behind it. A server that refuses the one hangs up, and were the other still
    to come then, its reset would overtake the reason.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._held = b""

    def __bool__(self) -> bool:
        return True  # or nats-py puts its own in place of it before the first connection

    def write(self, payload: bytes) -> None:
        if payload.startswith(b"CONNECT "):
            self._held = payload
            return
        super().write(self._held + payload)  # type: ignore[no-untyped-call]
        self._held = b""

    @property
    def open(self) -> bool:
        """Whether the socket takes what is written: it is there, and keeps up."""
        if self._io_writer is None:
            return False
        socket = self._io_writer.transport
        return not socket.is_closing() and socket.get_write_buffer_size() <= _UNSENT


class WireClient(Client):
    """Every error that ends a connection leads to the next attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._ps: Reader = Reader(self)

    # --- the short ways ---------------------------------------------------------------------------------------------

    async def listen(self, subject: str, listener: Listener) -> Subscription:
        """Have ``listener`` called, at once and in order, with every message on ``subject``.

        Raises:
            Error: the connection is closed.
        """
        number = self._sid + 1
        self._ps.listeners[number] = listener
        try:
            return await self.subscribe(subject)
        except BaseException:
            self._ps.listeners.pop(number, None)
            raise

    def write(self, commands: bytes) -> bool:
        """Put ``commands`` on the socket, behind what nats-py was to send. False if they have to go by ``forward``: the
        connection is away, or slow, or none of ours.
        """
        transport = self._transport
        if not self.is_connected or type(transport) is not _Transport or not transport.open:
            return False
        if self._pending:
            commands = b"".join([*self._pending, commands])
            self._pending, self._pending_data_size = [], 0
        try:
            transport.write(commands)
        except (OSError, RuntimeError):  # it broke in this very moment: as if it had been sent, and was lost on the way
            log.debug("the socket broke")
        return True

    async def forward(self, commands: bytes) -> None:
        """Send ``commands`` when there is room; without a connection they are kept for the next, as far as there is
        room for them.

        Raises:
            Error: there is none, or the connection is closed.
        """
        if self.is_closed:
            raise errors.ConnectionClosedError
        if not self.is_connected and len(commands) + self._pending_data_size > self._max_pending_size:
            raise errors.OutboundBufferLimitError
        await self._send_command(commands)
        await self._flush_pending()

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._ps.listeners.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    # --- corrections ------------------------------------------------------------------------------------------------

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """In its turn. nats-py's overtakes what is to be sent, and then its answer says nothing of that: what a
        subscription that ends is still sent would come when nobody listens any more.
        """
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _process_err(self, err_msg: str) -> None:
        error = errors.Error(f"nats: {err_msg}")
        if DENIED in err_msg:
            await self._error_cb(error)
        else:
            await self._process_op_err(error)

    async def _connect_to_server(self, server: Any) -> None:
        """An attempt whose handshake failed is closed first: nats-py forgets it with its socket open."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        elif server.uri.scheme not in ("ws", "wss"):
            self._transport = _Transport()
        await super()._connect_to_server(server)

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except UnicodeDecodeError:
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Any:
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            readable = subject.decode(errors="replace").encode()
            return super()._build_message(sid, readable, reply, data, headers)

    def _connect_command(self) -> bytes:
        if self.options.get("tls") is not None and not self._server_info.get("tls_required"):
            raise errors.Error("the server offers no TLS")  # before the credentials are sent
        return super()._connect_command()
