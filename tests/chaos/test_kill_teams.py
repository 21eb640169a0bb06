"""SIGKILL to a worker that holds teams, while members fail and are begun again: every team comes to its end."""

from __future__ import annotations

from functools import partial

import pytest

from chaos.exchange import Exchange, exchange, nothing_is_broken

CREWS = 40


async def crews_come_to_their_end(kills: int) -> None:
    """Of so many workers and one, all but one die one after the other, each with teams in its hands."""
    names = [f"agents.{number}" for number in range(1, kills + 2)]
    async with exchange(["gateway", "supervisor", *names]) as running:
        crews = [(f"/v1/agents/crew/instances/{n}/runs", {"input": n}, f"crew {n}") for n in range(CREWS)]
        await running.post(crews)
        for kill in range(1, kills + 1):
            await running.until(partial(_some_are_done, running, kill), "teams are done, and others are not")
            name, held = await running.busiest("agents")
            assert held, "it has teams, or members, in its hands"
            running.kill(name)
        await running.until(lambda: _done(running), "all teams are done")
        assert await _outputs(running) == {n: {f"m{place}": n + place + 2 for place in range(3)} for n in range(CREWS)}
        await running.until(lambda: _nobody_is_bound(running), "nobody is bound to what has ended")
        await nothing_is_broken(running)
        [[failed]] = await running.ask("select count(*) from runs where agent = 'hand' and status = 'failed'")
        assert failed, "there was something to begin again"


async def test_every_team_comes_to_its_end() -> None:
    await crews_come_to_their_end(1)


@pytest.mark.sweep
@pytest.mark.parametrize("round_", range(5))
async def test_and_again_with_one_death_after_the_other(round_: int) -> None:
    await crews_come_to_their_end(3)


async def _outputs(running: Exchange) -> dict[int, object]:
    return dict(await running.ask("select key::int, output from runs where agent = 'crew' and status = 'completed'"))


async def _some_are_done(running: Exchange, least: int) -> bool:
    done = len(await _outputs(running))
    assert done < CREWS, "it was in the middle"
    return done >= least


async def _done(running: Exchange) -> bool:
    return len(await _outputs(running)) == CREWS


async def _nobody_is_bound(running: Exchange) -> bool:
    return await running.ask("select count(*) from bonds") == [(0,)]
