"""Processes that are stopped for longer than a lease, and go on as if nothing had been: what they held is elsewhere."""

from __future__ import annotations

import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from chaos.repair import repaired
from chaos.roster import is_dead, leading
from trunkline.domain.ids import derived_id

# Nearly always a commit is under way when it is stopped: it is sent when it goes on, and must be refused.
SLOW_COMMITS = "commit-begun=delay:0.2"
# Most of what it has in its hands has not begun, whether it may or need not ask: it must not begin when others have.
SLOW_TO_BEGIN = "item-received=delay:0.3,permit-received=delay:0.5"


async def test_an_agent_worker_that_was_stopped_writes_nothing_more() -> None:
    names = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]
    async with exchange(names, {"agents.1": SLOW_COMMITS}) as running, orders_come(running) as load:
        worker = await running.worker_of("agents.1")
        held = await running.until(lambda: _holds(running, worker), "it holds runs")
        running.pause("agents.1")
        await running.until(lambda: is_dead(running, worker), "it is declared dead")
        await running.until(lambda: _taken_over(running, held), "its runs went on elsewhere")
        running.resume("agents.1")
        await running.ended("agents.1")
        assert running.processes["agents.1"].returncode not in (0, None)
        # Whether it hears first that its commit was refused, or that it was declared dead, is chance.
        assert any(told in running.log("agents.1") for told in ("an activation was dropped", "declared dead"))
        await load.goes_on()


async def test_an_unsafe_tool_does_not_begin_when_its_time_to_begin_is_over() -> None:
    names = ["gateway", "supervisor", "agents.1", "tools.1", "tools.2", "llm.1"]
    async with exchange(names, {"tools.1": SLOW_TO_BEGIN}) as running, orders_come(running, unknown=True) as load:
        worker = await running.worker_of("tools.1")
        permitted = await running.until(lambda: _stopped_with_permits(running, "tools.1", worker), "it may begin")
        await running.until(lambda: is_dead(running, worker), "it is declared dead")
        await running.until(lambda: _parked(running, permitted), "its steps are parked: nobody knows their outcome")
        await repaired(running)
        before = len(running.effects())
        await load.goes_on()
        running.resume("tools.1")
        await running.ended("tools.1")
        assert running.processes["tools.1"].returncode not in (0, None)
        assert len(running.effects()) > before, "others began meanwhile"


@pytest.mark.sweep
async def test_a_model_is_not_called_for_a_worker_that_was_stopped() -> None:
    names = ["gateway", "supervisor", "agents.1", "tools.1", "llm.1", "llm.2"]
    async with exchange(names, {"llm.1": SLOW_TO_BEGIN}) as running, orders_come(running) as load:
        worker = await running.worker_of("llm.1")
        await running.until(lambda: _holds_items(running, "llm.1"), "it holds model calls")
        running.pause("llm.1")
        waiting = load.orders
        await running.until(lambda: is_dead(running, worker), "it is declared dead")
        await running.until(lambda: load.done(len(waiting)), "what it held is done elsewhere")
        running.resume("llm.1")
        await running.ended("llm.1")
        assert running.processes["llm.1"].returncode not in (0, None)


@pytest.mark.sweep
async def test_a_supervisor_that_led_does_no_harm_when_it_goes_on() -> None:
    names = ["gateway", "supervisor.1", "supervisor.2", "agents.1", "agents.2", "tools.1", "llm.1"]
    async with exchange(names) as running, orders_come(running) as load:
        leader = await running.until(lambda: leading(running), "one of them leads")
        running.pause(leader)
        other = await running.until(lambda: leading(running, other_than=leader), "the other one leads")
        await load.goes_on()
        running.resume(leader)
        await load.goes_on()
        assert await leading(running) == other, "it leads on"
        assert running.processes[leader].poll() is None, "whoever led before stands by"


async def _holds(running: Exchange, worker: str) -> list[tuple[str, int]]:
    """The instances of open runs that this worker holds, with their epochs; none unless there are some."""
    rows = await running.ask(
        "select i.id::text, i.epoch from instances i join runs r on r.instance = i.id"
        " where i.owner = %s and r.ended_at is null",
        worker,
    )
    return [(instance, epoch) for instance, epoch in rows]


async def _taken_over(running: Exchange, held: list[tuple[str, int]]) -> bool:
    """Whether somebody wrote into the journal of one of these under a later epoch, and nobody holds one as before."""
    ids, epochs = [instance for instance, _ in held], [epoch for _, epoch in held]
    ((later,),) = await running.ask(
        "select count(*) from unnest(%s::uuid[], %s::bigint[]) as h(id, epoch)"
        " join journal j on j.instance = h.id and j.epoch > h.epoch",
        ids,
        epochs,
    ) or [(0,)]
    return bool(later)


async def _holds_items(running: Exchange, name: str) -> bool:
    worker = await running.worker_of(name)
    return bool(await running.ask("select 1 from workers where id = %s and held > 0", worker))


_PERMITTED = """
select s.run::text, s.body->>'key' from journal s
where s.type = 'StepStarted' and s.body->>'worker' = %s and not exists (
    select from journal e where e.instance = s.instance and e.run = s.run and e.version > s.version
    and e.body->>'key' = s.body->>'key')
"""


async def _stopped_with_permits(running: Exchange, name: str, worker: str) -> list[tuple[str, str]]:
    """Stop it; let it go on if it holds no permit of a step that has not begun."""
    running.pause(name)
    begun = {one.key for one in running.effects()}
    held = [
        (run, step) for run, step in await running.ask(_PERMITTED, worker) if derived_id("step", run, step) not in begun
    ]
    if not held:
        running.resume(name)
    return held


async def _parked(running: Exchange, permitted: list[tuple[str, str]]) -> bool:
    """Whether one of these runs was parked, or what was parked has been resolved."""
    rows = await running.ask(
        "select 1 from journal where type in ('RunParked', 'StepRetried') and run = any(%s::uuid[])",
        [run for run, _ in permitted],
    )
    return bool(rows)
