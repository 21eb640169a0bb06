"""A run as a caller holds it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from trunkline.access.transcript import RunEvent
from trunkline.authoring.signals import SignalType
from trunkline.client.transport import Transport
from trunkline.domain.codec import roundtrip
from trunkline.domain.errors import NotEnded, RunFailedError
from trunkline.domain.ids import new_id
from trunkline.domain.status import RunStatus

O = TypeVar("O")  # noqa: E741


class Run(Generic[O]):
    """``id`` finds it again: ``client.run(id)``."""

    def __init__(
        self, transport: Transport, id_: str, decode: Callable[[Any], O], *, wake: Callable[[], None] | None = None
    ) -> None:
        self.id = id_
        self._transport, self._decode, self._wake = transport, decode, wake

    def __repr__(self) -> str:
        return f"<Run {self.id}>"

    def wake(self) -> None:
        """For a run that was started with ``connection=``, after the commit: without it the supervisor finds the run,
        in a few seconds. For any other run it does nothing.
        """
        if self._wake is not None:
            self._wake()

    async def status(self) -> RunStatus:
        """How it is just now."""
        return RunStatus((await self._transport.run(self.id))["status"])

    async def show(self) -> dict[str, Any]:
        """All that is known of it: status, input, output, error, usage, cost, and why it is parked."""
        return await self._transport.run(self.id)

    async def result(self, timeout: float = 60.0) -> O:  # noqa: ASYNC109
        """What the agent returned, as its own type; waits up to ``timeout`` seconds for it.

        Raises:
            RunFailedError: it failed or was cancelled.
            NotEnded: it goes on, or is parked; the error says which.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            found = await self._transport.ended(self.id, max(left, 0.0))
            status = RunStatus(found["status"])
            if status is RunStatus.COMPLETED:
                return self._decode(found["output"])
            if status.ended:
                error = found["error"] or {}
                raise RunFailedError(
                    run=self.id, status=status, type=error.get("type", ""), message=error.get("message", "")
                )
            if status is RunStatus.PARKED or left <= 0:
                why = f" ({found['parked_reason']}: {found['parked_detail']})" if found["parked_reason"] else ""
                raise NotEnded(run=self.id, status=status, why=why)

    def events(self) -> AsyncIterator[RunEvent]:
        """What happens in it, from its beginning to its end: ``token``, ``reset``, ``step`` and ``status`` events.

        Goes on by itself after a broken connection. Append the ``text`` of the tokens since the last ``reset`` of their
        step: that is the answer as it was recorded.
        """
        return self._transport.events(self.id)

    async def journal(self) -> list[dict[str, Any]]:
        """Its journal entries so far, in order."""
        entries: list[dict[str, Any]] = []
        while True:
            page = await self._transport.journal(self.id, entries[-1]["version"] if entries else 0)
            entries += page["items"]
            if page["next"] is None:
                return entries

    async def tree(self) -> dict[str, Any]:
        """Its row with those of all that it spawned and asked for, and of what these did, as ``children``: at most
        1,000 runs in 20 generations; ``more`` says that there are others.
        """
        return await self._transport.tree(self.id)

    async def signal(self, signal: SignalType[Any] | str, data: Any = None, *, idempotency_key: str = "") -> None:
        """Give it a named message.

        Raises:
            RunEnded: it has ended.
        """
        name = signal if isinstance(signal, str) else signal.name
        await self._transport.signal_run(
            self.id, name, roundtrip(data, what=f"the signal {name!r}"), idempotency_key or new_id()
        )

    async def cancel(self, reason: str = "cancelled by a client") -> None:
        """Ask for its end; its handler may clean up first.

        Raises:
            RunEnded: it has ended.
        """
        await self._transport.cancel(self.id, reason, new_id())

    async def resolve(self, outcome: str, *, value: Any = None, reason: str = "", step: str = "", by: str = "") -> None:
        """Say how it may go on while it is parked: ``happened`` with a ``value``, ``failed`` with a ``reason``, or
        ``again``.

        Raises:
            NotParked: it needs no repair.
            BadInput: ``outcome`` is none of these.
        """
        said = {"outcome": outcome, "reason": reason, "step": step, "by": by}
        await self._transport.resolve(self.id, said | ({"value": value} if outcome == "happened" else {}), new_id())
