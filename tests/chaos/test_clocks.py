"""The wall clocks of an agent worker, a tool worker and the supervisor are suddenly an hour wrong."""

from __future__ import annotations

import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come

HOUR = 3600
JUMPING = ["agents.1", "tools.1", "supervisor"]
NAMES = ["gateway", "llm.1", *JUMPING]
LATE = 20.0  # seconds: no hour, and more than the busiest machine takes


@pytest.mark.parametrize("seconds", [HOUR, pytest.param(-HOUR, marks=pytest.mark.sweep)])
async def test_nothing_is_early_nothing_is_late(seconds: int) -> None:
    async with exchange(NAMES) as running:
        async with orders_come(running) as load:
            await running.post([(_waiter("runs"), {"input": 1}, "start w")])
            for name in JUMPING:
                running.clock_of(name).write_text(str(seconds))
            await load.goes_on(40)
            assert (await running.counts("waiter"))["waiting"] == 1, "it waits for ten minutes, not for an hour"
            await running.post([(_waiter("signals/go"), "on", "go w")])
            for name in JUMPING[::2]:  # and back again, while the tool worker's stays wrong
                running.clock_of(name).write_text("0")
            await load.goes_on()
        assert await running.ask("select status, output from runs where agent = 'waiter'") == [("completed", 3)]
        assert all(running.processes[name].poll() is None for name in NAMES)
        assert await _slept(running) > len(load.orders) / 2
        ((off,),) = await running.ask(
            "select max(abs(extract(epoch from recorded_at)::float8 - (body->>'at')::float8)) from journal"
            " where body->>'at' is not null"
        )
        assert off < LATE, "the handler's clock did not jump"


async def _slept(running: Exchange) -> int:
    """How many timers fired; none of them early or late."""
    rows = await running.ask(
        "select extract(epoch from e.recorded_at - s.recorded_at)::float8 from journal s"
        " join journal e on e.instance = s.instance and e.run = s.run and e.body->>'key' = s.body->>'key'"
        " where s.type = 'StepScheduled' and s.body->>'kind' = 'sleep' and e.type = 'StepCompleted'"
        " and s.body->>'name' = 'sleep'"
    )
    wrong = [took for (took,) in rows if not 0.29 <= took < LATE]
    assert wrong == []
    return len(rows)


def _waiter(what: str) -> str:
    return f"/v1/agents/waiter/instances/w/{what}"
