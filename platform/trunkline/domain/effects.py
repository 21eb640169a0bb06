"""One line of a ledger of effects: that an attempt of a step began, told by whoever carries it out."""

from __future__ import annotations

from pydantic import Field

from trunkline.domain.work import Message


class Begun(Message):
    """An execution that began. Times are seconds since the epoch."""

    key: str = Field(description="the step's idempotency key")
    attempt: int
    at: float
    worker: str = Field("", description="the worker that carries it out; empty if whoever wrote the line has no id")
