"""How operator commands reach the exchange: the gateway, at ``TRUNKLINE_GATEWAY_URL``, with the API key.

Answers come back as the gateway gave them. A command asks once: who types it sees at once that the gateway is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from trunkline.cli.configuration import load_settings
from trunkline.client.http import Http, segment
from trunkline.domain.errors import NotConfigured, NotUnderstood, TrunklineError

__all__ = ["AskedWrongly", "asked", "delete", "gateway", "get", "post", "segment"]

T = TypeVar("T")

_WRONGLY = (400, 413, 415, 422)


class AskedWrongly(NotUnderstood):
    """{detail}"""


@asynccontextmanager
async def gateway(*, patience: float = 0.0) -> AsyncIterator[Http]:
    """The gateway, asked again for ``patience`` seconds while it is away."""
    settings = load_settings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    http = Http(settings.gateway_url, key, patience=patience)
    try:
        yield http
    finally:
        await http.close()


def asked(ask: Callable[[Http], Awaitable[T]], *, patience: float = 0.0) -> T:
    """What ``ask`` gets from the gateway.

    Raises:
        AskedWrongly: the gateway does not understand it; the error has its words.
        TrunklineError: it says no; likewise.
        Unavailable: it cannot be reached, or cannot serve just now.
    """

    async def run() -> T:
        async with gateway(patience=patience) as http:
            return await ask(http)

    try:
        return asyncio.run(run())
    except NotConfigured:
        raise NotUnderstood(what="TRUNKLINE_GATEWAY_URL", reason="it is no http:// or https:// URL") from None
    except TrunklineError as error:
        if error.status in _WRONGLY:
            raise AskedWrongly(detail=str(error)) from None
        raise


def get(path: str, **query: Any) -> Any:
    """The JSON at ``path``; parameters that are empty are left out."""
    return asked(lambda http: http.get(path, **query))


def post(path: str, body: Any, *, repeat: str = "") -> Any:
    """The same for something to be done; ``repeat`` is the Idempotency-Key."""
    return asked(lambda http: http.post(path, body, idempotency_key=repeat or None))


def delete(path: str) -> Any:
    """The same for something to be removed."""
    return asked(lambda http: http.delete(path))
