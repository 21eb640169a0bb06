"""How many bytes a worker keeps for a run that waits: counted where they are allocated, so that it cannot creep up."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline import App, Context, ToolContext
from trunkline.domain import journal
from trunkline.domain.codec import dumps, loads
from trunkline.domain.ids import new_id
from trunkline.domain.journal import Entry
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Outcome
from trunkline.settings import Settings
from trunkline.store.append import Append
from trunkline.store.group import Then
from trunkline.store.history import History
from trunkline.store.journal import Row
from trunkline.store.leases import Lease
from trunkline_workers.agent import loading
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.office import Clock, Office

RUNS = 300
ROUNDS = 3
WARM = 100  # before counting: what all share is made by the first

app = App("suspended")
go = app.signal("go", str)


@app.tool(effect="pure")
async def look_up(tc: ToolContext, number: int) -> int:
    raise AssertionError("its outcome is told")


async def add_one(number: int) -> int:
    return number + 1


@app.agent("waiting")
async def waiting(ctx: Context, number: int) -> str:
    return await ctx.wait_for(go)


@app.agent("limited")
async def limited(ctx: Context, number: int) -> str:
    return await ctx.wait_for(go, timeout="30d")


@app.agent("worked")
async def worked(ctx: Context, number: int) -> str:
    for _ in range(10):
        number = await ctx.step(add_one, number)
    await ctx.gather(*(ctx.call(look_up, place) for place in range(10)))
    return await ctx.wait_for(go)


class Exchange:
    """The worker's parts around an activation: every commit is through at once, and so is every call."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._soon = asyncio.get_running_loop().call_soon
        parts: dict[str, Any] = {
            "appender": SimpleNamespace(submit=self._submit),
            "dispatch": SimpleNamespace(work=self._work, alarm=lambda _delay: None),
            "pauses": frozenset(),
            "definitions": SimpleNamespace(current=lambda _: 1, model=lambda *_: None),
            "clock": Clock(),
        }
        unused = dict.fromkeys(("conflicts", "bonds", "routes", "colleagues"))
        member: Any = SimpleNamespace(worker_id=new_id(), progress=0, held=0)
        self.office = Office(Settings(), member, **parts, **unused)

    def _submit(self, append: Append, then: Then) -> None:
        self.entries = list(append.entries)
        self._soon(then, None)

    def _work(self, activation: Activation, live: Any, step: Any) -> None:
        at = {"tenant": "default", "instance": activation.lease.instance, "agent": activation.lease.agent}
        outcome = Outcome(**at, run=live.run, step=step.scheduled.key, attempt=1, value=1)
        self._soon(activation.outcome, outcome, lambda: None)

    def activation(self, agent: str, number: int, head: int = 0) -> Activation:
        lease = Lease(new_id(), "default", agent, str(number), head, 1, 0)
        return Activation(lease, app.agents[agent], self.office, _lost)

    async def asleep(self, activation: Activation) -> Activation:
        """When all that it does here is done."""
        for _ in range(1000):
            if activation.runs and activation.idle:
                return activation
            await asyncio.sleep(0)
        raise AssertionError("it does not come to rest")

    async def begin(self, agent: str, number: int) -> Activation:
        activation, run = self.activation(agent, number), new_id()
        body = {"input": number, "handler": "", "parent": None}
        letter = Mail(number, activation.lease.instance, f"req:{run}", EnvelopeKind.REQUEST, run, body)
        activation.tray.put([letter])
        activation.act(partial(activation.take, activation.tray.next()), letters=(letter.seq,))
        return await self.asleep(activation)

    async def load(self, agent: str, number: int, written: bytes) -> Activation:
        """By replay: each instance has what it read for itself."""
        activation, run = self.activation(agent, number, head=2), new_id()
        told = [
            (type_, body | ({"message_id": f"req:{run}"} if "seed" in body else {})) for type_, body in loads(written)
        ]
        entries = [journal.decode("", type_, run, body) for type_, body in told]
        rows = [Row(version, 1, 1, 1.0, entry) for version, entry in enumerate(entries, 1)]
        await loading.load(activation, History(rows))
        return await self.asleep(activation)


def _lost(_activation: Activation, error: BaseException | None, _letters: Any) -> None:
    raise AssertionError("an activation was dropped") from error


async def bytes_of(make: Any) -> float:
    """What each of many takes: in the cheapest of three rounds, because a table that is everybody's may grow in one."""
    kept = [await make(number) for number in range(WARM)]
    kept += [None] * ROUNDS * RUNS
    rounds = [await round_of(make, kept, WARM + nth * RUNS) for nth in range(ROUNDS)]
    for activation in kept:
        activation.close()
    return min(rounds)


async def round_of(make: Any, kept: list[Any], first: int) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(first, first + RUNS):
            kept[number] = await make(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / RUNS
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("agent", "most"), [("waiting", 2800), ("limited", 2800), ("worked", 3400)])
async def test_a_run_that_waits_takes_few_bytes(agent: str, most: int) -> None:
    """Its own coroutine, its input and its ids are among them, about 600."""
    each = await bytes_of(partial(Exchange().begin, agent))
    assert 1000 < each < most


async def test_a_run_that_came_back_by_replay_takes_no_more() -> None:
    exchange = Exchange()
    await exchange.begin("waiting", 1)
    written = dumps([[entry.TYPE, entry.body()] for entry in exchange.entries])
    assert await bytes_of(partial(exchange.load, "waiting", written=written)) < 2900
