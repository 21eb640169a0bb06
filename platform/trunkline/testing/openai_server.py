"""A scripted OpenAI-compatible server on loopback: litellm's real path runs against it, and every call is counted.

::

    async with OpenAIServer(lambda messages, tools, response_format: "Hello") as server:
        settings = Settings(model="openai/scripted", model_api_base=server.url)

The script gets the messages, the tool schemas and the response format of a call, and returns (or awaits) what
``replies.as_reply`` takes. It serves ``POST /v1/chat/completions``, streaming or not, and nothing else.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

from trunkline.domain import codec
from trunkline.domain.errors import BadJson
from trunkline.domain.ids import new_id
from trunkline.testing.replies import HangUp, ModelSays, ProviderError, Reply, as_reply

Script = Callable[[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any] | None], Any]

MAX_BODY = 64 * 1024 * 1024


@dataclass(slots=True)
class Call:
    """One request as it came in, and what became of it."""

    body: dict[str, Any]
    headers: dict[str, str]
    at: float = field(default_factory=time.time)  # seconds since the epoch
    reply: Reply | None = None
    cut: bool = False  # the client left before the end of the answer

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages") or [])

    @property
    def paid(self) -> bool:
        """A provider would have charged for it: the model began to answer."""
        return isinstance(self.reply, ModelSays | HangUp)

    @property
    def digest(self) -> str:
        """Equal for equal questions: the same model, messages, tools and format."""
        return codec.digest({name: self.body.get(name) for name in ("model", "messages", "tools", "response_format")})


class _Gone(Exception):
    """The client has left, or the script broke the connection."""


class OpenAIServer:
    """The server. ``latency`` is in seconds before an answer begins, ``token_delay`` between two of its pieces."""

    def __init__(self, script: Script, *, port: int = 0, latency: float = 0.0, token_delay: float = 0.0) -> None:
        self.script = script
        self.latency = latency
        self.token_delay = token_delay
        self.calls: list[Call] = []
        self._port = port
        self._server: asyncio.Server | None = None
        self._failures: list[Reply] = []
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL that an OpenAI client takes."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def paid_calls(self) -> list[Call]:
        return [call for call in self.calls if call.paid]

    def fail_next(self, *failures: Reply) -> None:
        """Answer the next calls with these, in order, before the script is asked again."""
        self._failures.extend(failures)

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=MAX_BODY)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- HTTP/1.1, as much as an OpenAI client speaks ---

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (_Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # the server stops; asyncio's own callback would report a cancelled connection as an error
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(min(int(headers.get("content-length") or 0), MAX_BODY))
        method, path, _ = request.split(" ", 2)
        if (method, path.partition("?")[0]) != ("POST", "/v1/chat/completions"):
            await _send_error(writer, ProviderError(404, f"There is no {method} {path}", "invalid_request_error"))
            return True
        try:
            body = _object(raw)
        except BadJson as error:
            await _send_error(writer, ProviderError(400, str(error), "invalid_request_error"))
            return True
        await self._answer(Call(body, headers), _Line(reader, writer))
        return headers.get("connection", "").lower() != "close"

    async def _answer(self, call: Call, line: _Line) -> None:
        self.calls.append(call)
        if self.latency:
            await asyncio.sleep(self.latency)
        call.reply = await self._reply(call)
        if isinstance(call.reply, ProviderError):
            await _send_error(line.writer, call.reply)
            return
        try:
            if call.body.get("stream"):
                await self._stream(call, call.reply, line)
            else:
                await _send_whole(call, call.reply, line)
        except (_Gone, ConnectionError):
            call.cut = True
            raise

    async def _reply(self, call: Call) -> Reply:
        if self._failures:
            return self._failures.pop(0)
        value = self.script(call.messages, list(call.body.get("tools") or []), call.body.get("response_format"))
        return as_reply(await value if inspect.isawaitable(value) else value)

    async def _stream(self, call: Call, reply: ModelSays | HangUp, line: _Line) -> None:
        says, limit = (reply.says, reply.after) if isinstance(reply, HangUp) else (reply, None)
        line.writer.write(_head(200, "text/event-stream", "Transfer-Encoding: chunked"))
        for number, chunk in enumerate(_chunks(call, says)):
            if limit is not None and number > limit:  # the first chunk only names the role
                await line.hang_up(clean=isinstance(reply, HangUp) and reply.clean)
                return
            await line.send(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            if self.token_delay:
                await asyncio.sleep(self.token_delay)
        await line.send(b"data: [DONE]\n\n")
        await line.send(b"")


@dataclass(frozen=True, slots=True)
class _Line:
    """A connection in the middle of a chunked answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        if self.reader.at_eof() or self.writer.is_closing():
            raise _Gone
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def hang_up(self, *, clean: bool) -> None:
        if clean:
            await self.send(b"")
            return
        self.writer.transport.abort()
        raise ConnectionResetError


def _object(raw: bytes) -> dict[str, Any]:
    body = codec.loads(raw)
    if not isinstance(body, dict):
        raise BadJson(what="the body", reason="it is not an object")
    return body


def _chunks(call: Call, says: ModelSays) -> list[dict[str, Any]]:
    """The answer as OpenAI streams it: the role, the pieces, the finish reason, and the usage if it was asked for."""
    common = {"id": f"chatcmpl-{new_id()}", "object": "chat.completion.chunk", "created": int(call.at)}
    common["model"] = call.body.get("model", "")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None if says.tool_calls else ""}]
    deltas += [{"content": piece} for piece in says.pieces]
    for index, tool_call in enumerate(_tool_calls(says)):
        function = tool_call["function"]
        deltas.append({"tool_calls": [{"index": index, **tool_call, "function": {**function, "arguments": ""}}]})
        text = function["arguments"]
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": text[at : at + 16]}}]}
            for at in range(0, len(text), 16)
        ]
    chunks = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": says.finished}]})
    if (call.body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**common, "choices": [], "usage": _usage(call, says)})
    return chunks


async def _send_whole(call: Call, reply: ModelSays | HangUp, line: _Line) -> None:
    if isinstance(reply, HangUp):
        await line.hang_up(clean=False)
        return
    message = {"role": "assistant", "content": reply.text or None, "tool_calls": _tool_calls(reply) or None}
    body = {
        "id": f"chatcmpl-{new_id()}",
        "object": "chat.completion",
        "created": int(call.at),
        "model": call.body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finished}],
        "usage": _usage(call, reply),
    }
    await _send(line.writer, 200, body)


def _tool_calls(says: ModelSays) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{new_id()}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_text},
        }
        for call in says.tool_calls
    ]


def _usage(call: Call, says: ModelSays) -> dict[str, int]:
    asked = len(json.dumps(call.messages)) // 4 + 1 if says.input_tokens is None else says.input_tokens
    guess = len(says.pieces) + sum(len(tool_call.arguments_text) // 4 + 1 for tool_call in says.tool_calls)
    said = guess if says.output_tokens is None else says.output_tokens
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


async def _send_error(writer: asyncio.StreamWriter, error: ProviderError) -> None:
    body = {"error": {"message": error.message, "type": error.type, "param": None, "code": error.code}}
    extra = [] if error.retry_after is None else [f"Retry-After: {error.retry_after:g}"]
    await _send(writer, error.status, body, *extra)


async def _send(writer: asyncio.StreamWriter, status: int, body: dict[str, Any], *extra: str) -> None:
    raw = json.dumps(body).encode()
    writer.write(_head(status, "application/json", f"Content-Length: {len(raw)}", *extra) + raw)
    await writer.drain()


def _head(status: int, content_type: str, *extra: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}", *extra]
    return "\r\n".join([*lines, "", ""]).encode()
