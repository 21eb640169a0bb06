"""A model that asks for a tool twice and then answers, as an OpenAI-compatible server in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from benchmarks.bench.contenders import ROOT
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import ModelSays, ToolCall

LOOK_UPS = 2


def script(messages: list[dict[str, Any]], _tools: object, _format: object) -> ModelSays | str:
    """Three turns: two calls of the tool, then the answer."""
    looked_up = sum(message.get("role") == "tool" for message in messages)
    if looked_up < LOOK_UPS:
        return ModelSays(tool_calls=(ToolCall("look_up", {"order": f"o-{looked_up}"}),))
    return "It was shipped."


@asynccontextmanager
async def model_server(latency: float) -> AsyncIterator[tuple[str, int]]:
    """Its URL and process id; an answer begins after ``latency`` seconds."""
    command = [sys.executable, "-m", "benchmarks.bench.model_server", str(latency)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.kill()
        await process.wait()


async def serve(latency: float) -> None:
    """Say where it is, and serve until standard input is closed."""
    async with OpenAIServer(script, latency=latency) as server:
        server.calls = _Forgetful()
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


class _Forgetful(list[Any]):
    """The server keeps every call for tests to look at; here there are too many."""

    def append(self, _call: object) -> None:
        pass


if __name__ == "__main__":
    uvloop.run(serve(float(sys.argv[1])))
