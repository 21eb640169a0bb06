"""litellm, imported once, in a thread: it costs seconds, and does not let the event loop turn meanwhile.

Its first call would import as much again, and block the loop for half a second, so that is done here as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from contextlib import suppress
from typing import Any

_WARM_TOOL = {"type": "function", "function": {"name": "warm", "parameters": {"type": "object", "properties": {}}}}
_NO_LIMIT = "65536"  # connections; what bounds them is the number of calls at once
_NOWHERE = "http://127.0.0.1:1/v1"  # nothing listens there, so that the warming call fails at once


async def load() -> Any:
    """The module, ready for calls that neither import nor go anywhere but to the provider."""
    return await asyncio.to_thread(_load)


async def close(litellm: Any) -> None:
    """Close the connections to providers, and forget their clients: they belong to the loop that is running."""
    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()


def _load() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the import fetches prices from the network
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # or it reads a .env file of the working directory
    for name in ("AIOHTTP_CONNECTOR_LIMIT", "AIOHTTP_CONNECTOR_LIMIT_PER_HOST"):
        os.environ.setdefault(name, _NO_LIMIT)  # or it opens 500 connections to a provider, and the rest waits
    import litellm  # noqa: PLC0415 - here and nowhere else

    warnings.filterwarnings("ignore", category=DeprecationWarning, module="litellm|pydantic")  # its own affair
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL)  # it logs every error that it raises
    asyncio.run(_warm(litellm))
    return litellm


async def _warm(litellm: Any) -> None:
    common = {"messages": [{"role": "user", "content": "warm"}], "tools": [_WARM_TOOL], "stream": True}
    with suppress(Exception):  # the refused connection, as whichever class litellm makes of it
        await litellm.acompletion(
            model="warm", custom_llm_provider="openai", api_base=_NOWHERE, api_key="none", max_retries=0, **common
        )
    stream = await litellm.acompletion(model="openai/gpt-4o-mini", mock_response="warm", **common)
    async for _ in stream:
        pass  # to the end, where tokens are counted
    await close(litellm)
