"""The model: a real one if a key or TRUNKLINE_MODEL is there, else a script that speaks OpenAI's protocol."""

from __future__ import annotations

import os
import re
from typing import Any

from support_desk.app import Verdict
from trunkline.testing import ToolCall
from trunkline.testing.openai_server import OpenAIServer

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY")
MODELS = {
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "GROQ_API_KEY": "groq/openai/gpt-oss-20b",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-chat",
}


def real_model() -> str | None:
    """The model that the environment asks for, if it asks for one."""
    if os.environ.get("TRUNKLINE_MODEL"):
        return os.environ["TRUNKLINE_MODEL"]
    key = next((key for key in KEYS if os.environ.get(key)), None)
    return MODELS.get(key, "openai/gpt-5-mini") if key else None


def scripted() -> OpenAIServer:
    """A model on loopback that looks the order up and gives half of the money back; half a second a call."""
    return OpenAIServer(_answer, latency=0.4, token_delay=0.01)


def _answer(messages: list[dict[str, Any]], _tools: list[dict[str, Any]], _format: dict[str, Any] | None) -> Any:
    question = re.search(r"Order (\S+) over (\d+) cents", messages[1]["content"])
    assert question is not None, "the orders agent asks like this"
    if messages[-1]["role"] == "tool":
        return Verdict(reason="the carrier lost it", refund_cents=int(question[2]) // 2)
    return ToolCall("order_history", {"order_id": question[1]})
