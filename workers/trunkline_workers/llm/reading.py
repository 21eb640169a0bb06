"""Reading an answer's stream to the provider's end, and not into what litellm does behind it.

Behind the last chunk litellm puts the whole answer together twice over, in threads, counts and prices it, and tells its
callbacks: two fifths of what a call costs, for an answer that we have by then. So the stream ends for us where the
provider's does. Where litellm has more to do than that it reads on as ever: when the provider did not count the tokens
once and for all, and when somebody gave litellm callbacks or a cache.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

_LISTENERS = ("callbacks", "success_callback", "_async_success_callback", "cache")


class _End(BaseException):
    """The provider has said everything. (litellm takes any ``Exception`` for a failure of the provider.)"""


async def chunks_of(litellm: Any, stream: Any) -> AsyncGenerator[Any, None]:
    """The chunks of ``stream`` (litellm's ``CustomStreamWrapper``); the last one has ``usage``, if that is known.

    Closes the stream, so that the provider is told when nobody reads on.
    """
    async with aclosing(stream):
        if _may_end_early(litellm, stream):
            stream.completion_stream = _Source(stream)
        try:
            async for chunk in stream:
                yield chunk
        except _End:
            yield SimpleNamespace(choices=(), usage=_counts(stream)[0])


class _Source:
    """What ``stream`` reads from, in its place."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._source = stream, stream.completion_stream
        self._chunks = aiter(self._source)

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            if self._stream.sent_last_chunk and _is_counted(self._stream):
                raise _End from None
            raise

    async def aclose(self) -> None:
        for one in (self._chunks, self._source):
            close = getattr(one, "aclose", None) or getattr(one, "close", None)
            closing = close() if close is not None else None
            if closing is not None:
                await closing


def _may_end_early(litellm: Any, stream: Any) -> bool:
    known = hasattr(stream, "sent_last_chunk") and hasattr(stream, "chunks")
    readable = hasattr(getattr(stream, "completion_stream", None), "__aiter__")
    listened = any(getattr(litellm, name, None) for name in _LISTENERS)
    return known and readable and not listened


def _is_counted(stream: Any) -> bool:
    """Whether the provider told the tokens, both kinds, and once."""
    counts = _counts(stream)
    return len(counts) == 1 and counts[0].prompt_tokens > 0 and counts[0].completion_tokens > 0


def _counts(stream: Any) -> list[Any]:
    found = (getattr(chunk, "usage", None) for chunk in stream.chunks)
    return [usage for usage in found if usage is not None]
