"""From a work item's arguments to the keyword arguments of ``litellm.acompletion``."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from trunkline.domain import codec
from trunkline.domain.errors import BadInput
from trunkline.domain.work import WorkItem
from trunkline.settings import Settings
from trunkline_workers.llm.schema import response_format

# What a definition's extra settings may not set: where the call goes, with which key, and how its answer comes back.
_OURS = frozenset({
    "api_base", "api_key", "api_version", "base_url", "custom_llm_provider", "fallbacks", "max_retries", "messages",
    "mock_response", "model", "n", "num_retries", "response_format", "stream", "stream_options", "timeout", "tools",
})  # fmt: skip


def model_of(args: Mapping[str, Any], settings: Settings) -> str:
    """The model that is called: ``settings.model`` overrides the agent's."""
    return settings.model or str(args["model"])


def request(item: WorkItem, args: Any, settings: Settings) -> dict[str, Any]:
    """The call that ``args`` ask for.

    Raises:
        BadInput: they are not the arguments of a model call, or want to set what is not theirs to set.
    """
    _check(args)
    call: dict[str, Any] = {
        **{name: value for name, value in (args.get("settings") or {}).items() if value is not None},
        "model": model_of(args, settings),
        "messages": args["messages"],
        "stream": True,
        "stream_options": {"include_usage": True},  # or a stream reports no tokens
        "timeout": item.timeout,  # of one read; the whole call is bounded by the pipeline
        "max_retries": 0,  # retries are recorded, so they are the owner's
    }
    if args.get("tools"):
        call["tools"] = args["tools"]
    if settings.model_api_base:
        _redirect(call, settings.model_api_base)
    return call


def constrain(call: dict[str, Any], wanted: Mapping[str, Any], supported: Collection[str]) -> None:
    """Ask for an answer that fits the schema ``wanted`` (``{"name", "schema"}``).

    By ``response_format`` if the provider has it and the schema is an object's; otherwise in words.
    """
    schema = wanted["schema"]
    enforced = response_format(str(wanted.get("name") or "answer"), schema) if "response_format" in supported else None
    if enforced is not None:
        call["response_format"] = enforced
        return
    text = "Answer with nothing but JSON, without a code fence, that fits this JSON schema:\n"
    words = {"role": "system", "content": text + codec.dumps(schema).decode()}
    messages = list(call["messages"])
    after_system = next((at for at, each in enumerate(messages) if each.get("role") != "system"), len(messages))
    call["messages"] = [*messages[:after_system], words, *messages[after_system:]]


def _check(args: Any) -> None:
    fits = isinstance(args, Mapping) and isinstance(args.get("model"), str) and isinstance(args.get("messages"), list)
    if not fits:
        raise BadInput(target="a model call", reason='"model" and "messages" are needed')
    taken = _OURS.intersection(args.get("settings") or {})
    if taken:
        raise BadInput(target="a model call", reason=f"settings may not hold {', '.join(sorted(taken))}")


def _redirect(call: dict[str, Any], base: str) -> None:
    """Send the call to an OpenAI-compatible server, whichever provider the model's name speaks of."""
    call["model"] = call["model"].removeprefix("openai/")
    call["custom_llm_provider"] = "openai"
    call["api_base"] = base
    if not os.environ.get("OPENAI_API_KEY"):  # litellm reads it; its client insists on some key
        call["api_key"] = "none"
