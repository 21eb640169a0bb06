"""Bare litellm, read to its end: a conversation's three model calls with the LLM worker's arguments. Nothing is kept.

The LLM worker leaves out what litellm does behind the provider's last chunk (``trunkline_workers/llm/reading.py``), so
what a turn costs beyond this may be negative.
"""

from __future__ import annotations

import json
import os
from typing import Any

import uvloop

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import Asked, asked, drive, versions
from trunkline_workers.llm import library

SETTINGS = "not durable: litellm's streaming calls in one process, uvloop, and the tool's result made up; no platform"
LOOK_UPS = 2
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look an order up.",
        "parameters": {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
    },
}


async def converse(litellm: Any, base: str) -> None:
    """Ask; twice hand in what the tool says; read the answer."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "Where is it?"},
    ]
    for turn in range(LOOK_UPS + 1):
        arguments = await _ask(litellm, base, messages)
        if turn < LOOK_UPS:
            counter()()
            called = {"name": "look_up", "arguments": arguments}
            call = {"id": f"call-{turn}", "type": "function", "function": called}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            said = f"{json.loads(arguments)['order']} was shipped"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})


async def _ask(litellm: Any, base: str, messages: list[dict[str, Any]]) -> str:
    """The arguments of the tool call that the model asks for; empty for an answer."""
    stream = await litellm.acompletion(
        model="scripted",
        custom_llm_provider="openai",
        api_base=base,
        api_key="none",
        messages=messages,
        tools=[TOOL],
        stream=True,
        stream_options={"include_usage": True},
        timeout=60,
        max_retries=0,
    )
    parts = []
    async for chunk in stream:
        for choice in chunk.choices:
            parts += [call.function.arguments or "" for call in choice.delta.tool_calls or ()]
    return "".join(parts)


async def main(asked: Asked) -> None:
    litellm = await library.load()

    async def run(_number: int) -> None:
        await converse(litellm, asked.model)

    about = {"settings": SETTINGS, "versions": versions("litellm", "uvloop")}
    await drive(asked, run, {"agents": os.getpid()}, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
