"""What the server sends, cut into messages: nats-py's parser, with a short way for what comes in volume.

nats-py matches each control line against up to seven regular expressions, makes a ``Msg`` of each message, and puts it
into a queue that a task reads. Here a message for a *listener* is cut out by its spaces and handed over at once, as
bytes; only what has no listener, and control lines other than those of messages, take nats-py's way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

log = logging.getLogger(__name__)

Listener = Callable[[bytes, bytes, bytes, bytes], None]
"""Called with subject, reply subject (empty without one), body, and the block of headers (empty without any)."""

_END = b"\r\n"
_SHARE = 8 * 1024  # bytes after which others have their turn


class Reader(Parser):
    """``listeners`` are called by the number of their subscription. What they raise is logged, and hurts nobody."""

    def __init__(self, client: Any) -> None:
        self.listeners: dict[int, Listener] = {}
        self._resets = 0
        super().__init__(client)

    def reset(self) -> None:
        """Forget what was begun: another connection follows."""
        super().reset()
        self._resets += 1
        self._wanted = 0  # bytes without which there is nothing to be done

    async def parse(self, data: bytes = b"") -> None:
        """Take what came, and do what is complete of it.

        Raises:
            ProtocolError: no NATS server sends this.
        """
        self.buf.extend(data)
        if len(self.buf) < self._wanted:
            return
        data, at, resets, self._wanted = bytes(self.buf), 0, self._resets, 0
        while (line_end := data.find(_END, at)) >= 0:
            if data.startswith(b"MSG ", at):
                after = await self._message(data, data[at + 4 : line_end].split(b" "), line_end + 2, headed=False)
            elif data.startswith(b"HMSG ", at):
                after = await self._message(data, data[at + 5 : line_end].split(b" "), line_end + 2, headed=True)
            else:
                after = line_end + 2
                await self._control(data[at:after])
            if self._resets != resets:
                return
            if not after:
                self._wanted -= at
                break
            at = after
        del self.buf[:at]
        if at > _SHARE:  # nats-py reads on, without a pause, as long as there is something to be read
            await asyncio.sleep(0)

    async def _message(self, data: bytes, words: list[bytes], start: int, *, headed: bool) -> int:
        """Hand over the message whose body begins at ``start``: where the next thing begins; 0 if it is not all here,
        and ``_wanted`` says where it would end.
        """
        number, reply, headers, size = _read(words, headed=headed)
        body, end = start + headers, start + size
        if len(data) < end + 2:
            self._wanted = end + 2
            return 0
        listener = self.listeners.get(number)
        if listener is None:
            block = data[start:body] or None
            await self.nc._process_msg(number, words[0], reply, data[body:end], block)  # noqa: SLF001 - as its parser does
            return end + 2
        try:
            listener(words[0], reply, data[body:end], data[start:body])
        except Exception:
            log.exception("what listens to %r failed", words[0])
        return end + 2

    async def _control(self, line: bytes) -> None:
        """PING, PONG, INFO, +OK and -ERR are nats-py's."""
        kept, resets = self.buf, self._resets
        self.buf = bytearray(line)
        await super().parse()
        if self._resets == resets:
            self.buf = kept


def _read(words: list[bytes], *, headed: bool) -> tuple[int, bytes, int, int]:
    """A message's subscription, reply subject, bytes of headers, and bytes altogether: ``subject number [reply]
    [headers] size``.

    Raises:
        ProtocolError: it is not like that.
    """
    least = 4 if headed else 3
    try:
        if least <= len(words) <= least + 1:
            reply = words[2] if len(words) > least else b""
            return int(words[1]), reply, int(words[-2]) if headed else 0, int(words[-1])
    except ValueError:
        pass
    raise ProtocolError("nats: malformed MSG")


def headers_of(block: bytes) -> dict[str, str]:
    """The headers in ``block``, as the server sends it; a status stands as ``Status`` and ``Description``. What is not
    readable is passed over.
    """
    first, *lines = block.decode(errors="replace").split("\r\n") if block else ("",)
    found = {}
    _, status, *description = [*first.split(" ", 2), ""]
    if status:
        found = {"Status": status, "Description": description[0]}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name and " " not in name:
            found[name] = value.strip()
    return found
