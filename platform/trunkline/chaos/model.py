"""A stand-in for the model, where the user named none: it answers at once, in the form that was asked for."""

from __future__ import annotations

from typing import Any

from trunkline.authoring.app import App
from trunkline.chaos.inputs import NoSample, sample
from trunkline.domain.codec import dumps
from trunkline.domain.status import Effect
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import ToolCall

LATENCY = 0.3  # seconds before an answer begins: a worker must have it in its hands to lose it
TEXT = "This is what the stand-in for a model answers."

Offered = list[dict[str, Any]]


def stand_in(app: App) -> OpenAIServer:
    """A model on loopback. Once a conversation it asks for a tool of ``app``, of those that are declared pure: made-up
    arguments must not do anything.
    """
    harmless = {name for name, tool in app.tools.items() if tool.spec.effect is Effect.PURE}
    harmless -= {name for name, tool in app.tools.items() if tool.spec.needs_approval}

    def answer(messages: list[dict[str, Any]], offered: Offered, wanted: dict[str, Any] | None) -> ToolCall | str:
        asked = any(message.get("role") == "tool" for message in messages)
        call = None if asked else _call(offered, harmless)
        return call or _said(wanted)

    return OpenAIServer(answer, latency=LATENCY)


def _call(offered: Offered, harmless: set[str]) -> ToolCall | None:
    for tool in (one["function"] for one in offered if one["function"]["name"] in harmless):
        try:
            return ToolCall(tool["name"], sample(tool.get("parameters") or {"type": "object"}))
        except NoSample:
            continue
    return None


def _said(wanted: dict[str, Any] | None) -> str:
    if wanted is None or "json_schema" not in wanted:
        return TEXT
    try:
        return dumps(sample(wanted["json_schema"]["schema"])).decode()
    except NoSample:
        return TEXT  # the agent will say what is wrong with it
