"""The model of a test's exchange: a script, played by a local server that speaks OpenAI's protocol."""

from __future__ import annotations

import inspect
from typing import Any

from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import ProviderError
from trunkline.testing.script import ModelScript, next_reply

MODEL = "openai/scripted"


def provider(script: ModelScript | None) -> OpenAIServer:
    """A server that answers as ``testing.run`` would have the model answer; a function may also be asynchronous.

    What is wrong with the script is told as a refusal, with which the run fails: nobody tries again.
    """
    server: OpenAIServer

    async def play(messages: list[dict[str, Any]], *_: Any) -> Any:
        try:
            reply = next_reply(script, messages, len(server.calls))
            return await reply if inspect.isawaitable(reply) else reply
        except Exception as error:  # noqa: BLE001 - whatever the test's function raises
            return ProviderError(400, f"the test's script: {type(error).__name__}: {error}", "invalid_request_error")

    server = OpenAIServer(play)
    return server
