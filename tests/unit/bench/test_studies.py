"""What is measured of Trunkline alone becomes rows like the others'."""

import pytest
from benchmarks.bench import studies
from benchmarks.recovery.__main__ import Round

ROW_OF_ALL = {"workload", "contender", "in_flight", "steps_per_s", "p50_ms", "p99_ms", "spread", "failed_rounds"}


def test_each_number_of_idle_instances_is_a_row() -> None:
    found = [
        {
            "idle": idle,
            "resident": resident,
            "to_first_entry": {"p50_ms": 9.0, "p99_ms": 19.0},
            "to_answer": {"p50_ms": 12.0, "p99_ms": 22.0},
        }
        for idle, resident in ((1_000, 90_000_000), (1_001_000, 92_000_000))
    ]
    few, many = studies.woken(found)
    assert set(few) >= ROW_OF_ALL
    assert (few["idle_instances"], few["bytes_an_idle_instance"]) == (1_000, None)
    assert (many["p50_ms"], many["p99_ms"], many["bytes_an_idle_instance"]) == (9.0, 19.0, 2.0)


def test_recovery_tells_the_rounds_medians() -> None:
    rounds = [Round(2000, 1.0, p50_s=p50, p99_s=p50 + 1, slowest_s=p50 + 2, most_epochs=2) for p50 in (1.5, 1.2, 1.4)]
    row = studies.recovered(rounds)
    assert set(row) >= ROW_OF_ALL
    assert (row["in_flight"], row["p50_ms"], row["p99_ms"], row["slowest_ms"]) == (2000, 1400, 2400, 3500)
    assert row["spread"] == [1200, 1500]


async def test_one_that_fails_is_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks() -> list[studies.Row]:
        raise RuntimeError("no worker came")

    monkeypatch.setitem(studies.STUDIES, "wake", breaks)
    [row] = await studies.study("wake")
    assert set(row) >= ROW_OF_ALL
    assert (row["workload"], row["failed_rounds"]) == ("wake", ["no worker came"])
