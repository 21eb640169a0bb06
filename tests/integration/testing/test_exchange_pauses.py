"""Paused agents: what is asked of them waits, and says why; what has begun goes on; and it outlives the workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from integration.testing.late_app import app, asking, counter, hurried, newest, patient, strict
from trunkline import RunFailedError
from trunkline.domain.errors import BadInput, UnknownAgent
from trunkline.domain.journal import RunStarted
from trunkline.store import pauses
from trunkline.testing import Exchange, ExchangeFactory

Eventually = Callable[..., Awaitable[Any]]


async def paused(tl: Exchange, agent: Any, reason: str = "the bank is closed") -> None:
    """Pause it, and have workers that know: those that begin anew."""
    await tl.pause(agent, reason=reason)
    await tl.crash("agents")


async def statuses(tl: Exchange, agent: str) -> list[str]:
    return [str(one["status"]) for one in (await tl.runs(agent=agent))["items"]]


async def test_requests_wait_and_begin_when_the_agent_goes_on(exchange: ExchangeFactory) -> None:
    async with exchange(app, agents=2) as tl:
        await paused(tl, counter)
        runs = [await tl.start(counter, {"id": str(number)}, key=f"k{number % 3}") for number in range(9)]
        await tl.publish("thing.came", {"id": "event"})
        await tl.publish("thing.changed", {"id": "event"})
        await tl.settle()
        assert set(await statuses(tl, "counter")) == {"accepted"}
        shown = await tl._transport.run(runs[0].id)
        assert shown["waits_because"] == "its agent is paused: the bank is closed"
        [item] = [one for one in (await tl.agents())["items"] if one["name"] == "counter"]
        assert item["paused"]["reason"] == "the bank is closed"
        async with tl._db.connection() as connection:
            held = await (await connection.execute("select count(*) from instances where agent = 'counter'")).fetchone()
        assert held == (0,), "they cost rows, and no memory"
        await tl.resume(counter)
        assert [await run.result() for run in runs] == [f"counted {number}" for number in range(9)]
        await tl.settle()
        assert await statuses(tl, "counter") == ["completed"] * 11
        assert (await tl._transport.run(runs[0].id))["waits_because"] == ""


async def test_what_has_begun_goes_on(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        first = await tl.start(patient, "first", key="k")
        await tl.settle()
        await paused(tl, patient)
        second = await tl.start(patient, "second", key="k")
        await first.signal("go", "1")
        assert await first.result() == "first 1"
        await tl.settle()
        assert await second.status() == "accepted"
        await tl.resume(patient)
        await second.signal("go", "2")
        assert await second.result() == "second 2"


async def test_a_pause_outlives_the_workers(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        waiting = await tl.start(patient, "first", key="k")
        await tl.settle()
        await tl.pause(patient, reason="mending")
        await tl.crash("agents")
        later = await tl.start(patient, "second", key="k")
        await waiting.signal("go", "1")
        assert await waiting.result() == "first 1", "it was loaded anew"
        await tl.settle()
        assert await later.status() == "accepted"
        await tl.crash("agents")
        await tl.resume(patient)
        await later.signal("go", "2")
        assert await later.result() == "second 2"


async def test_what_waits_can_be_cancelled_and_has_its_deadline(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        await paused(tl, patient)
        run, late = await tl.start(patient, "one"), await tl.start(patient, "two", deadline="1h")
        await tl.settle()
        await run.cancel("not needed any more")
        with pytest.raises(RunFailedError, match="not needed any more"):
            await run.result()
        await tl.skip("2h")
        with pytest.raises(RunFailedError, match="its deadline has passed"):
            await late.result()


@pytest.mark.parametrize("agent", [strict, newest])
async def test_nobody_is_refused_or_interrupted_for_what_cannot_begin(exchange: ExchangeFactory, agent: Any) -> None:
    async with exchange(app) as tl:
        current = await tl.start(agent, "current", key="k")
        await tl.settle()
        await paused(tl, agent)
        following = await tl.start(agent, "next", key="k" if agent is newest else "free")
        await current.signal("go", "1")
        assert await current.result() == "current 1"
        await tl.resume(agent)
        await following.signal("go", "2")
        assert await following.result() == "next 2"


async def test_asked_runs_wait_too(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        await paused(tl, patient)
        run = await tl.start(asking, None)
        await tl.settle()
        assert await statuses(tl, "patient") == ["accepted"]
        above = await tl.start(hurried, "word", key="above")
        await tl.settle()
        for waiting in (run, above):
            because = (await tl._transport.run(waiting.id))["waits_because"]
            assert because.startswith("it asked run ")
            assert because.endswith(", and the agent patient is paused: the bank is closed")
        await tl.skip("2h")
        assert await run.result() == "nothing came within 3600 s"
        await tl.settle()
        assert await statuses(tl, "patient") == ["cancelled", "cancelled"]
        assert (await tl._transport.run(above.id))["waits_because"] == ""


async def test_workers_hear_of_it_while_they_work(exchange: ExchangeFactory, eventually: Eventually) -> None:
    async with exchange(app, agents=2) as tl:
        await tl.pause(counter, reason="mending")

        async def one_waits() -> bool:
            run = await tl.start(counter, {"id": "1"})
            await tl.settle()
            return await run.status() == "accepted"

        await eventually(one_waits, timeout=5)
        await tl.resume(counter)
        await eventually(lambda: _all_completed(tl), timeout=5)


async def _all_completed(tl: Exchange) -> bool:
    return set(await statuses(tl, "counter")) == {"completed"}


async def test_a_pause_has_a_reason_and_an_agent(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        with pytest.raises(BadInput, match="say why"):
            await tl.pause(patient, reason=" ")
        with pytest.raises(UnknownAgent):
            await tl.pause("nobody", reason="why")
        await tl.resume(patient)
        await tl.pause(patient, reason="one")
        await tl.pause(patient, reason="another")
        [(name, pause)] = (await pauses.paused(tl._db, tl.settings.tenant)).items()
        assert (name, pause.reason) == ("patient", "another")


async def test_no_run_that_waited_began_meanwhile(exchange: ExchangeFactory) -> None:
    """By the journal, which only the beginning of a run makes."""
    async with exchange(app) as tl:
        await paused(tl, counter)
        run = await tl.start(counter, {"id": "1"})
        await tl.settle()
        assert list(await tl.journal(run)) == []
        resumed_at = await tl._db.now() + tl._clock.ahead
        await tl.resume(counter)
        await run.result()
        started = (await tl.journal(run))[0]
        assert isinstance(started, RunStarted)
        assert started.at >= resumed_at - 0.5
