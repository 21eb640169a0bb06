"""The gateway over HTTP: answers as JSON, refusals as the errors that they were, streams that go on by themselves."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
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
SILENCE = 30.0  # seconds: the gateway sends a comment every fifteen
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
        last, patience = "", _Patience(self._patience)
        while True:
            try:
                async for event in self._stream(path, last, patience):
                    last = event.id
                    yield event
                    patience.renew()  # whoever reads may have taken long
                    if event.final:
                        return
                reason = "the stream ended before the run"
            except Unavailable as error:
                reason = str(error)
            if patience.over:
                raise Unavailable(what=f"The gateway at {self._url}", reason=reason)
            await patience.pause()

    async def _stream(self, path: str, last: str, patience: _Patience) -> AsyncIterator[RunEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        timeout = httpx2.Timeout(SILENCE, connect=CONNECT_WITHIN)
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for sent in EventSource(cast("Any", _Heard(response, patience.renew))).aiter_sse():
                    if sent.data:  # a comment behind an event comes as one without data
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


class _Patience:
    """How long a gateway that says nothing is asked again: counted from the last time that it was heard."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._deadline, self._delay = time.monotonic() + self._seconds, _FIRST_DELAY

    @property
    def over(self) -> bool:
        return time.monotonic() > self._deadline

    async def pause(self) -> None:
        """Wait before it is asked again, longer each time."""
        await asyncio.sleep(self._delay)
        self._delay = min(self._delay * 2, _LONGEST_DELAY)


class _Heard:
    """A response, as ``EventSource`` reads one; ``tell`` hears of all that comes, comments too."""

    def __init__(self, response: httpx2.Response, tell: Callable[[], None]) -> None:
        self.headers, self._response, self._tell = response.headers, response, tell

    async def aiter_text(self) -> AsyncIterator[str]:
        async for text in self._response.aiter_text():
            self._tell()
            yield text


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
