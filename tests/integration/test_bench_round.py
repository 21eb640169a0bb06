"""A round of ``make bench``, from fresh servers to what it cost."""

from pathlib import Path

from benchmarks.bench.contenders import CONTENDERS, Contender
from benchmarks.bench.rounds import Plan, play

FLOOR = next(one for one in CONTENDERS if one.name == "floor")


async def test_a_round_tells_what_a_contender_does_and_costs() -> None:
    rounds = await play(FLOOR, Plan("local", in_flight=(1, 4), seconds=0.3, warm_up=0.2))
    assert list(rounds) == [1, 4]
    assert rounds[1].steps_per_s > 0
    done = rounds[4]
    assert done.failed == ""
    assert done.failures == 0
    assert 0 < done.steps_per_s < 1_000_000
    assert abs(done.runs_per_s * 10 / done.steps_per_s - 1) < 0.5
    assert done.p50_ms is not None
    assert done.p99_ms is not None
    assert 0 < done.p50_ms <= done.p99_ms
    assert set(done.cpu) == {"agents", "postgres", "nats-server"}
    assert done.cpu["agents"] > 0
    assert done.about["versions"]["postgres"].startswith("18")


async def test_a_program_that_ends_early_is_told_with_its_last_words() -> None:
    broken = Contender("broken", "no_such_program", {"local": (1,)}, frozenset())
    done = (await play(broken, Plan("local", in_flight=(1,), seconds=0.1, warm_up=0.1)))[1]
    assert "it ended before its 'begin'" in done.failed
    assert "No module named benchmarks.contenders.no_such_program" in done.failed


def test_a_contender_whose_files_are_not_there_is_missing_them() -> None:
    absent = Contender("absent", "x", {}, frozenset(), needs=(Path(__file__).with_name("nothing"),))
    assert absent.missing == ["tests/integration/nothing"]
    assert FLOOR.missing == []
