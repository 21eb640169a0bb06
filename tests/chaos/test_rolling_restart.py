"""A rollout under load: every process is replaced, one after the other, by one of another code version.

No run fails or is parked, nothing that was recorded is done again, and no step is carried out twice: who is asked to
end finishes what it has begun, and gives back the rest.
"""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from chaos.roster import PATIENT_LEASE, nobody_died

ROLLED = ("supervisor", "agents", "tools", "llm")
NAMES = ["gateway", *(f"{kind}.0" for kind in ROLLED)]
AT_ONCE = 60

_SECONDS = """
select percentile_cont(0.5) within group (order by s), percentile_cont(0.99) within group (order by s), count(*)
from (select extract(epoch from ended_at - created_at)::float8 as s from runs where agent = 'orders') as took
"""


async def restarted(rounds: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """All processes, so many times. Returns how long runs took, in words."""
    async with exchange(NAMES, lease=PATIENT_LEASE) as running:
        async with orders_come(running, at_once=AT_ONCE) as load:
            for number in range(1, rounds + 1):
                monkeypatch.setenv("CHAOS_VERSION", str(number))
                for kind in ROLLED:
                    await running.replaced(f"{kind}.{number - 1}", f"{kind}.{number}")
                await running.replaced("gateway")
                await load.goes_on(4)
        await nobody_died(running)
        assert await running.ask("select count(*) from journal where type = 'RunParked'") == [(0,)]
        assert _carried_out_twice(running) == {}
        codes = await running.ask("select count(distinct code) from runs where agent = 'orders'")
        assert codes[0][0] > rounds // 2, "runs began under one code version after the other"
        [(median, most, count)] = await running.ask(_SECONDS)
    return f"{rounds} rolling restarts, {count} runs: half within {median:.2f} s, 99 of 100 within {most:.2f} s"


def _carried_out_twice(running: Exchange) -> dict[str, int]:
    """Steps by how often they were carried out, where that is more than once; model calls by their prompt."""
    steps = Counter(begun.key for begun in running.effects())
    calls = Counter(call.digest for call in running.model.paid_calls)
    return {what: times for what, times in (steps + calls).items() if times > 1}


@pytest.mark.timeout(300)
async def test_a_rolling_restart_fails_no_run_and_repeats_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    await restarted(2, monkeypatch)


@pytest.mark.sweep
@pytest.mark.timeout(1800)
async def test_twenty_rolling_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    print("\n" + await restarted(20, monkeypatch))
