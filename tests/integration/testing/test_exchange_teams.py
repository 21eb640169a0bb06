"""Teams: who is begun again with whom, in which order members start and stop, and when a team gives up."""

from __future__ import annotations

from typing import Any

import pytest

from integration.testing.team_app import (
    app,
    hand,
    lasting,
    mixed,
    noted,
    outer,
    rest,
    single,
    slow,
    stubborn,
    whole,
)
from integration.testing.test_exchange_trees import of, sound
from trunkline import RunFailedError
from trunkline.domain.journal import StepScheduled
from trunkline.testing import Exchange, ExchangeFactory

CYCLE = "40s"  # longer than any delay before a restart


@pytest.fixture(autouse=True)
def clean() -> None:
    noted.clear()


async def tell(tl: Exchange, member: str, word: str) -> None:
    await tl.signal(hand, f"t-{member}", "go", word)
    await tl.settle()


async def begun(tl: Exchange, team: Any) -> Any:
    run = await tl.start(team, "t")
    await tl.settle()
    return run


def since(place: int) -> list[str]:
    return noted[place:]


async def test_members_start_in_order_and_the_team_tells_what_they_returned(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, single)
        assert sorted(noted) == ["+a", "+b", "+c"]
        spawned = [one.args for one in await tl.journal(run) if isinstance(one, StepScheduled) and one.kind == "spawn"]
        assert spawned == ["a", "b", "c"]
        children = await of(tl, "hand")
        assert {one["key"] for one in children} == {"t-a", "t-b", "t-c"}
        assert {one["parent_run"] for one in children} == {run.id}
        for name in "bac":
            await tell(tl, name, "done")
        assert await run.result() == {"a": "a done", "b": "b done", "c": "c done"}
        await sound(tl)


@pytest.mark.parametrize(
    ("team", "then"),
    [
        (single, [["+b"]]),
        (rest, [["-c"], ["+b", "+c"]]),
        (whole, [["-c"], ["-a"], ["+a", "+b", "+c"]]),
    ],
    ids=["one_for_one", "rest_for_one", "one_for_all"],
)
async def test_whom_a_failure_concerns(exchange: ExchangeFactory, team: Any, then: list[list[str]]) -> None:
    """Groups of notes: within one, members work side by side."""
    async with exchange(app) as tl:
        run = await begun(tl, team)
        await tell(tl, "b", "fail")
        await tl.skip(CYCLE)
        place = 3
        for group in then:
            assert sorted(noted[place : place + len(group)]) == group
            place += len(group)
        assert since(place) == []
        for name in "abc":
            await tell(tl, name, "done")
        assert await run.result() == {"a": "a done", "b": "b done", "c": "c done"}
        await sound(tl)


async def test_the_delay_comes_before_the_restart_and_after_the_stops(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, whole)
        await tell(tl, "b", "fail")
        await tl.skip(CYCLE)
        assert noted[3:5] == ["-c", "-a"]
        assert sorted(since(5)) == ["+a", "+b", "+c"]
        asked = [one for one in await tl.journal(run) if isinstance(one, StepScheduled)]
        kinds = [one.kind for one in asked if one.kind in ("spawn", "emit", "sleep")]
        limits = ["emit", "sleep"] * 2  # each stop has its limit
        assert kinds == ["spawn"] * 3 + limits + ["sleep"] + ["spawn"] * 3
        [delay] = [one.options["delay"] for one in asked if one.kind == "sleep"][2:]
        assert 0 <= delay <= 0.2


async def test_a_team_that_is_cancelled_stops_its_members_in_reverse_order(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, single)
        await run.cancel("enough")
        await tl.settle()
        assert since(3) == ["-c", "-b", "-a"]
        assert await run.status() == "cancelled"
        assert {one["status"] for one in await of(tl, "hand")} == {"cancelled"}
        await sound(tl)


async def test_too_many_restarts_end_the_team(exchange: ExchangeFactory) -> None:
    """What completes counts as well where it is permanent: two in the window, and not a third."""
    async with exchange(app) as tl:
        run = await begun(tl, lasting)
        for word in ("done", "fail"):
            await tell(tl, "b", word)
            await tl.skip(CYCLE)
        assert await run.status() == "waiting"
        await tell(tl, "b", "fail")
        with pytest.raises(RunFailedError) as failed:
            await run.result()
        assert "RestartsExhausted: member 'b' of team 'lasting' was restarted 2 times within 600 s" in str(failed.value)
        assert "ValueError: b was told to" in str(failed.value)
        assert noted[-2:] == ["-c", "-a"]
        await sound(tl)


async def test_restarts_that_are_long_ago_do_not_count(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, lasting)
        for _ in range(5):
            await tell(tl, "b", "fail")
            await tl.skip("11m")
        assert await run.status() == "waiting"
        assert noted.count("+b") == 6


async def test_kinds_of_restart(exchange: ExchangeFactory) -> None:
    """A temporary member that fails concerns nobody; one that is stopped with the others stays stopped."""
    async with exchange(app) as tl:
        run = await begun(tl, mixed)
        await tell(tl, "a", "fail")
        await tl.skip(CYCLE)
        assert noted[3:5] == ["-c of t", "-b"]
        assert sorted(since(5)) == ["+a", "+c of t"]
        await tell(tl, "a", "done")
        await tell(tl, "c", "done")
        told = await run.result()
        assert (told["a"], told["c"]) == ("a done", "c of t done")
        assert told["b"]["message"] == "stopped by team mixed"
        await sound(tl)


async def test_a_member_with_an_intensity_of_its_own(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, mixed)
        await tell(tl, "c", "fail")
        with pytest.raises(RunFailedError, match="member 'c' of team 'mixed' was restarted 0 times"):
            await run.result()


async def test_a_member_that_does_not_stop_is_waited_for_so_long(exchange: ExchangeFactory) -> None:
    """Its successor waits behind it: an instance has one run at a time."""
    async with exchange(app) as tl:
        run = await begun(tl, slow)
        await tell(tl, "a", "fail")
        assert noted == ["+a"]
        await tl.skip("2m")
        assert noted == ["+a", "+a"]
        for word in ("released", "go"):
            await tl.signal(stubborn, "t-s", word, "now")
            await tl.settle()
        await tell(tl, "a", "done")
        assert await run.result() == {"a": "a done", "stubborn": "s"}
        await sound(tl)


async def test_a_team_in_a_team_is_begun_again(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await begun(tl, outer)
        await tell(tl, "a", "fail")  # more than the inner one allows
        assert await run.status() == "waiting"
        await tl.skip(CYCLE)
        assert noted == ["+a", "+a"]
        await tell(tl, "a", "fail")
        with pytest.raises(RunFailedError, match="member 'inner' of team 'outer' was restarted 1 times"):
            await run.result()
        assert [one["status"] for one in await of(tl, "inner")] == ["failed", "failed"]
        await sound(tl)


async def test_a_team_outlives_its_worker(exchange: ExchangeFactory) -> None:
    """Killed while everything runs, and while a restart is due."""
    async with exchange(app) as tl:
        run = await begun(tl, rest)
        await tl.crash("agents")
        await tell(tl, "b", "fail")
        await tl.crash("agents")
        await tl.skip(CYCLE)
        for name in "abc":
            await tell(tl, name, "done")
        assert await run.result() == {"a": "a done", "b": "b done", "c": "c done"}
        assert [sum(one["key"] == key for one in await of(tl, "hand")) for key in ("t-a", "t-b", "t-c")] == [1, 2, 2]
        await sound(tl)
