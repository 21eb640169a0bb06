"""Rounds become rows, comparisons and a picture."""

from xml.etree import ElementTree as ET

from benchmarks.bench.plot import plot
from benchmarks.bench.rounds import Round
from benchmarks.bench.statistics import compared, row


def a_row(contender: str, rate: float, in_flight: int = 100) -> dict[str, object]:
    return row("local", contender, in_flight, [Round(steps_per_s=rate, p50_ms=1.0, p99_ms=2.0)])


def test_medians_and_spread() -> None:
    rounds = [
        Round(steps_per_s=100.0, p50_ms=3.0, p99_ms=9.0, cpu={"agents": 0.2}),
        Round(steps_per_s=300.0, p50_ms=1.0, p99_ms=7.0, cpu={"agents": 0.1}, elsewhere=1.234),
        Round(
            steps_per_s=120.0,
            p50_ms=None,
            p99_ms=None,
            cpu={"agents": 0.3},
            about={"settings": "…"},
            failures=2,
            failure="refused",
        ),
    ]
    assert row("local", "floor", 100, rounds) == {
        "workload": "local",
        "contender": "floor",
        "in_flight": 100,
        "steps_per_s": 120.0,
        "p50_ms": 2.0,
        "p99_ms": 8.0,
        "spread": [100.0, 300.0],
        "runs_per_s": 0.0,
        "cpu_s_per_1000_steps": {"agents": 0.2},
        "cores_busy_elsewhere": 1.23,
        "rounds": 3,
        "failed_runs": 2,
        "failure": "refused",
        "failed_rounds": [],
        "settings": "…",
    }


def test_a_round_that_failed_is_told_and_not_counted() -> None:
    found = row("local", "floor", 1, [Round(steps_per_s=50.0), Round(failed="it ended")])
    assert (found["steps_per_s"], found["rounds"], found["failed_rounds"]) == (50.0, 1, ["it ended"])


def test_a_contender_that_only_failed_has_no_rate() -> None:
    found = row("local", "floor", 1, [Round(failed="it ended")])
    assert (found["steps_per_s"], found["spread"]) == (None, [])


def test_like_is_compared_with_like() -> None:
    ours = [a_row("trunkline", 300), a_row("trunkline-batched", 450)]
    found = compared([*ours, a_row("dbos", 100), a_row("dbos", 100, in_flight=1)])
    assert [(one["in_flight"], one["of"], one["over"], one["ratio"]) for one in found] == [
        (100, "trunkline", "dbos", 3.0),
        (100, "trunkline-batched", "dbos", 4.5),
    ]


def test_no_comparison_with_a_contender_that_did_nothing() -> None:
    assert compared([a_row("trunkline", 300), a_row("dbos", 0)]) == []


def test_no_comparison_among_ours() -> None:
    assert compared([a_row("trunkline", 300), a_row("trunkline-two-workers", 500)]) == []


def test_the_plot_has_a_bar_for_each_rate() -> None:
    rows = [a_row("trunkline", 30_000), a_row("dbos", 100), row("local", "gone", 100, [Round(failed="…")])]
    picture = ET.fromstring(plot(rows))
    bars = [one for one in picture.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") == "bar"]
    assert len(bars) == 2
    assert float(bars[0].attrib["width"]) > float(bars[1].attrib["width"])


def test_a_plot_of_nothing_is_a_picture_too() -> None:
    assert ET.fromstring(plot([])).tag.endswith("svg")
