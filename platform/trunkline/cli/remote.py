"""How operator commands reach the exchange: the gateway's HTTP API, at ``TRUNKLINE_GATEWAY_URL``, with the API key.

Answers come back as the gateway gave them; its problem documents become ``Refused``, with the same words.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote

import httpx2

from trunkline.cli.configuration import load_settings
from trunkline.cli.failures import NotUnderstood
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadJson, TrunklineError, Unavailable

PATIENCE = 30.0  # seconds for an answer
CONNECT_WITHIN = 5.0


class Refused(TrunklineError):
    """{detail}"""


class AskedWrongly(Refused, NotUnderstood):
    """{detail}"""


def get(path: str, **query: Any) -> Any:
    """The JSON at ``path``; parameters that are empty are left out.

    Raises:
        Refused: the gateway says no; the error has its words.
        Unavailable: it cannot be reached, or cannot serve just now.
    """
    return _answer(_send("GET", path, query={name: value for name, value in query.items() if value != ""}))


def post(path: str, body: Any, *, repeat: str = "") -> Any:
    """The same for something to be done; ``repeat`` is the Idempotency-Key."""
    return _answer(_send("POST", path, body=dumps(body), headers={"Idempotency-Key": repeat} if repeat else {}))


def segment(text: str) -> str:
    """``text`` as one segment of a path, whatever it holds."""
    return quote(text, safe="")


@cache
def _client() -> httpx2.Client:
    settings = load_settings()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    timeout = httpx2.Timeout(PATIENCE, connect=CONNECT_WITHIN)
    return httpx2.Client(base_url=settings.gateway_url, headers=headers, timeout=timeout)


def _send(
    method: str,
    path: str,
    *,
    query: dict[str, Any] | None = None,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    try:
        return _client().request(method, path, params=query, content=body or None, headers=headers)
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
        raise NotUnderstood(what="TRUNKLINE_GATEWAY_URL", reason="it is no http:// or https:// URL") from None
    except httpx2.TransportError as error:
        where = f"The gateway at {load_settings().gateway_url}"
        raise Unavailable(what=where, reason=str(error) or type(error).__name__) from None


def _answer(response: httpx2.Response) -> Any:
    try:
        body = loads(response.content, what="the gateway's answer")
    except BadJson:
        body = None if response.is_success else response.text[:300]
    if response.is_success:
        return body
    detail = body.get("detail") if isinstance(body, dict) else body
    words = str(detail or response.reason_phrase)
    if response.status_code in (502, 503, 504):
        raise Unavailable(what="The exchange", reason=words)
    wrongly = response.status_code in (400, 413, 415, 422)
    raise (AskedWrongly if wrongly else Refused)(detail=words)
