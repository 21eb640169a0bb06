"""The gateway over HTTP: answers as JSON, refusals as the errors that they were, streams that go on by themselves."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import quote

import httpx2
from httpx_sse import EventSource, SSEError

from trunkline.access.transcript import RunEvent
from trunkline.domain import errors
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadJson, NotConfigured, TrunklineError, Unavailable

ANSWER_WITHIN = 30.0  # seconds
CONNECT_WITHIN = 5.0
SILENCE = 30.0  # seconds: the gateway sends a comment every ten
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 2.0
_AGAIN = (429, 502, 503, 504)

_KNOWN: dict[str, type[TrunklineError]] = {
    kind.code: kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TrunklineError)
}


class Refused(TrunklineError):
    """{detail}"""


class Http:
    """Requests that are repeated for up to ``patience`` seconds while the gateway is away or cannot serve.

    Whatever is sent may be repeated: a POST has its idempotency key, or names something that is done once, and
    so does a DELETE.
    """

    def __init__(self, url: str, api_key: str | None, *, patience: float) -> None:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        timeout = httpx2.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
        self._url, self._patience = url, patience
        try:
            self._client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout)
        except httpx2.InvalidURL:
            raise self._no_url() from None

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON at ``path``; parameters that are empty are left out.

        Raises:
            TrunklineError: the gateway says no, in its words; the class is the error's own where it is known.
            Unavailable: it cannot be reached, or cannot serve just now.
        """
        return await self._ask("GET", path, params={name: value for name, value in query.items() if value})

    async def post(self, path: str, body: Any, *, idempotency_key: str | None = None, **query: Any) -> Any:
        """The same for something to be done."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self._ask("POST", path, content=dumps(body), headers=headers, params=query)

    async def delete(self, path: str) -> Any:
        """The same for something to be removed."""
        return await self._ask("DELETE", path)

    async def events(self, path: str) -> AsyncIterator[RunEvent]:
        """A run's events; when the connection breaks it goes on behind the last one that came.

        Raises:
            as ``get``.
        """
        last, deadline, delay = "", time.monotonic() + self._patience, _FIRST_DELAY
        while True:
            try:
                async for event in self._stream(path, last):
                    last, deadline, delay = event.id, time.monotonic() + self._patience, _FIRST_DELAY
                    yield event
                    if event.final:
                        return
                reason = "the stream ended before the run"
            except Unavailable as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise Unavailable(what=f"The gateway at {self._url}", reason=reason)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _stream(self, path: str, last: str) -> AsyncIterator[RunEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        timeout = httpx2.Timeout(SILENCE, connect=CONNECT_WITHIN)
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for sent in EventSource(cast("Any", response)).aiter_sse():
                    yield RunEvent(sent.id, sent.event, loads(sent.data))  # type: ignore[arg-type]
        except (httpx2.TransportError, SSEError) as error:
            raise self._away(error) from None

    async def _ask(self, method: str, path: str, **what: Any) -> Any:
        deadline, delay = time.monotonic() + self._patience, _FIRST_DELAY
        while True:
            try:
                response = await self._client.request(method, path, **what)
            except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
                raise self._no_url() from None
            except httpx2.TransportError as error:
                if time.monotonic() + delay > deadline:
                    raise self._away(error) from None
            else:
                if response.is_success:
                    return loads(response.content, what="the gateway's answer") if response.content else None
                if response.status_code not in _AGAIN or time.monotonic() + delay > deadline:
                    raise refusal(response)
                delay = max(delay, _retry_after(response))
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(what=f"The gateway at {self._url}", reason=str(error) or type(error).__name__)

    def _no_url(self) -> NotConfigured:
        return NotConfigured(what="The gateway's URL", fix=f"Write http://host:8080 instead of {self._url!r}.")


def segment(text: str) -> str:
    """``text`` as one segment of a path, whatever it holds."""
    return quote(text, safe="")


def refusal(response: httpx2.Response) -> TrunklineError:
    """The error in a problem document (RFC 9457), as it was raised there."""
    try:
        body = loads(response.content, what="the gateway's answer")
    except BadJson:
        body = response.text[:300]
    problem = body if isinstance(body, dict) else {"detail": body}
    words = str(problem.get("detail") or response.reason_phrase)
    kind = _KNOWN.get(str(problem.get("type", "")).removeprefix("urn:trunkline:"))
    if kind is None:
        kind = Unavailable if response.status_code in _AGAIN else Refused
    error = kind.__new__(kind)
    Exception.__init__(error, words)
    error.fields = {}
    return error


def _retry_after(response: httpx2.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", 0)), _LONGEST_DELAY)
    except ValueError:
        return 0.0
