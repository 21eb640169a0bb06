"""The workers and the supervisor of a test's exchange, as tasks of the test's own process: begun, lost, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["agents", "tools", "llm", "supervisor"]
Service = Callable[[asyncio.Event, Callable[[], object]], Awaitable[None]]  # runs until stopped; tells that it is ready

BEGIN_WITHIN = 60.0  # seconds; the first import of the model library takes some of them
END_WITHIN = 10.0


@dataclass(slots=True)
class _Post:
    kind: str
    service: Service
    stop: asyncio.Event
    task: asyncio.Task[None] | None = None


class Staff:
    """Runs ``services``, pairs of a kind and a service; there may be several of one kind."""

    def __init__(self, services: Sequence[tuple[str, Service]]) -> None:
        self._posts = [_Post(kind, service, asyncio.Event()) for kind, service in services]

    async def begin(self, kind: Kind | None = None) -> None:
        """Run all that do not run, or those of ``kind``; returns once they are ready.

        Raises:
            Exception: what a service ended with.
            TimeoutError: one was not ready in time.
        """
        async with asyncio.timeout(BEGIN_WITHIN):
            await asyncio.gather(*(_begin(post) for post in self._posts if post.task is None and _is(post, kind)))

    def check(self) -> None:
        """See that all are at work.

        Raises:
            Exception: what one of them ended with.
            RuntimeError: one ended without an error.
        """
        for post in self._posts:
            if post.task is not None and post.task.done():
                post.task.result()
                raise RuntimeError(f"a worker of kind {post.kind!r} ended by itself")

    def check_kind(self, kind: str) -> None:
        """See that there are workers of ``kind``.

        Raises:
            ValueError: there are none.
        """
        known = list(dict.fromkeys(post.kind for post in self._posts))
        if kind not in known:
            raise ValueError(f"there is no worker of kind {kind!r} here; there are: {', '.join(known)}")

    async def lose(self, kind: Kind) -> None:
        """End those of ``kind`` where they stand."""
        lost = [post for post in self._posts if post.task is not None and _is(post, kind)]
        tasks = [post.task for post in lost if post.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for post in lost:
            post.task, post.stop = None, asyncio.Event()

    async def end(self) -> None:
        """Ask all to stop, the last first, and see them do so.

        Raises:
            Exception: what a service ended with.
            TimeoutError: one did not end in time; it was cancelled.
        """
        ended: list[BaseException | None] = []
        for post in reversed(self._posts):
            post.stop.set()
            if post.task is not None:
                ended += await asyncio.gather(asyncio.wait_for(post.task, END_WITHIN), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error


async def _begin(post: _Post) -> None:
    ready = asyncio.Event()
    task = asyncio.ensure_future(post.service(post.stop, ready.set))
    telling = asyncio.ensure_future(ready.wait())
    try:
        await asyncio.wait({task, telling}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        post.task = task
    if task.done():
        post.task = None
        task.result()


def _is(post: _Post, kind: Kind | None) -> bool:
    return kind is None or post.kind == kind
