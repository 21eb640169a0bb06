"""One attempt of one step in a worker's hands: what it was given, how it is stopped, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from trunkline.bus.consume import Delivery
from trunkline.domain.work import WorkItem


class Stop(StrEnum):
    """Why work was stopped before it had a result."""

    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"  # nobody waits for the step any more
    DRAINED = "drained"  # this process ends


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an attempt: ``error`` (``{"type", "message", "retryable"}``) is set, or ``value`` is JSON.

    ``probe``: it was not carried out, but found out about.
    """

    value: Any = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    probe: bool = False


def _freely(_execution: Execution) -> None:
    """Nobody minds."""


@dataclass(slots=True, eq=False)
class Execution:
    """Filled in on the way through the pipeline. ``id`` is of this one execution; a permit binds to it. Nothing in it
    leads back to it: else each would wait for a garbage collection, with its arguments.
    """

    delivery: Delivery
    item: WorkItem
    args: Any = None
    id: str = ""
    let_at: float = 0.0  # monotonic; as of when nobody minds that it begins
    began_at: float = 0.0  # monotonic; 0 until it begins
    work: asyncio.Task[Result] | None = None
    stopped: Stop | None = None
    begins: Callable[[Execution], None] = _freely  # whom ``begin`` asks
    received_at: float = field(default_factory=time.monotonic)
    attempt: tuple[str, str, int] = field(init=False)  # what is being attempted: run, step, and which attempt

    def __post_init__(self) -> None:
        self.attempt = self.item.run, self.item.step, self.item.attempt

    @property
    def age(self) -> float:
        """Seconds since the item was published, by whichever clock says more: the owner's, or the broker's."""
        return time.time() - min(self.item.published_at, self.delivery.published_at)

    def begin(self) -> None:
        """Call it just before what cannot be taken back, in whatever thread.

        Raises:
            HandBack: it must not begin any more.
        """
        self.begins(self)

    def stop(self, why: Stop) -> None:
        """End the work, if it is under way. The first reason counts."""
        if self.work is not None and not self.work.done() and self.stopped is None:
            self.stopped = why
            self.work.cancel()


async def _nothing() -> None:
    """For a station that leaves nothing behind."""


@dataclass(slots=True, eq=False)
class Station:
    """Where one kind of item is carried out.

    ``perform`` turns an execution into a result, whatever happens. ``gate`` is held while it runs (rate, concurrency).
    ``interruptible`` work really ends when it is stopped. ``strays`` are executions that did not, although they should;
    at ``most_strays`` of them, or when ``stuck`` says why, the station takes no more.
    """

    kind: Literal["tool", "llm"]
    name: str  # of the tool; of the pool
    perform: Callable[[Execution], Coroutine[Any, Any, Result]]
    gate: AbstractAsyncContextManager[Any]
    most_strays: int
    interruptible: bool = True
    stuck: Callable[[], str] = str  # why, or an empty string
    close: Callable[[], Awaitable[None]] = _nothing  # ends what it has running
    strays: set[asyncio.Task[Result]] = field(default_factory=set)

    def takes(self, item: WorkItem) -> bool:
        """Whether ``item`` belongs here."""
        return item.kind == self.kind and (self.kind == "llm" or item.name == self.name)

    def blocked(self) -> str:
        """Why it takes no more; empty when it does."""
        if len(self.strays) >= self.most_strays:
            return f"{len(self.strays)} executions of {self.name} do not end"
        return self.stuck()


class HandBack(Exception):
    """The item goes back to the broker and is delivered again after ``delay`` seconds: it was not carried out.

    ``blameless``: that says nothing about the item, because nobody was there to be asked, or because its time has not
    come: its run is parked, or it is being carried out. Its deliveries do not count then.

    ``permitted``: it had been let begin, and did not.
    """

    def __init__(self, why: str, delay: float = 0.0, *, blameless: bool = False, permitted: bool = False) -> None:
        super().__init__(why)
        self.delay, self.blameless, self.permitted = delay, blameless, permitted


class Refused(Exception):
    """The owner said no: the step has ended, or runs elsewhere."""


class Nonsense(Exception):
    """The message is no work for this worker, whatever becomes of it."""
