"""Local steps are carried out by few tasks: each goes on with the next step for as long as none makes it wait.

A task for each step would cost more than most steps do. A step that waits keeps its task to itself; those behind it get
another one when the loop comes round. A task in which a step has left its mark (a context variable, a cancellation) is
not used again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from trunkline.observe import driving
from trunkline.observe.driving import Doing
from trunkline_workers.failures import failure_of

if TYPE_CHECKING:
    from trunkline.authoring.local_call import LocalCall
    from trunkline_workers.agent.activation import Activation


class LocalStep:
    """One attempt of an open local step."""

    __slots__ = ("activation", "attempt", "call", "key", "run", "stopped", "task")

    def __init__(self, activation: Activation, run: str, key: str, attempt: int, call: LocalCall) -> None:
        self.activation = activation
        self.run = run
        self.key = key
        self.attempt = attempt
        self.call = call
        self.task: asyncio.Task[None] | None = None  # while it is under way
        self.stopped = False

    def stop(self) -> None:
        """Nobody waits for it any more: what is under way is cancelled, and what comes of it is nothing."""
        self.stopped = True
        if self.task is not None:
            self.task.cancel()

    def doing(self) -> Doing:
        lease = self.activation.lease
        return Doing("agent", lease.agent, lease.instance, self.run, self.key)


class LocalSteps:
    """One a worker."""

    def __init__(self) -> None:
        self._ready: deque[LocalStep] = deque()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking = False

    def begin(self, step: LocalStep) -> None:
        """Carry ``step`` out soon; its activation is told what came of it."""
        self._ready.append(step)
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """What is still ready has nobody: whoever was to carry it out waits for a step of its own."""
        self._looking = False
        if self._ready:
            task = self._loop.create_task(self._carry_out_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._look_soon()  # behind the task's first round

    async def _carry_out_all(self) -> None:
        task, before = asyncio.current_task(), copy_context()
        assert task is not None
        under_way: list[LocalStep] = []
        driving.note(task, lambda: under_way[0].doing() if under_way else None)
        while self._ready:
            step = self._ready.popleft()
            if not step.stopped:
                under_way[:] = [step]
                await _carry_out(step, task)
                if task.cancelling() or copy_context() != before:
                    break
        if self._ready:
            self._look_soon()


async def _carry_out(step: LocalStep, task: asyncio.Task[None]) -> None:
    step.task = task
    value: Any = None
    error: dict[str, Any] | None = None
    try:
        value = await step.call.run()
    except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the step's
        error = failure_of(raised)
    step.task = None
    if not step.stopped:
        step.activation.carried_out(step, value, error)
