"""The verdict, the percentiles, and the document that scripts take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.chaos.report import Hit, Repeated, Report, by_strike, recovery
from trunkline.cli.chaos_views import numbers
from trunkline.domain import codec

HITS = (
    Hit("kill agents", "agents.2", 1.5, 3, (1.0, 2.0)),
    Hit("kill tools", "tools.1", 4.25, 0),
    Hit("kill agents", "agents.1", 7.0, 1, (3.0,)),
)
KEPT = Report(
    app="shop", agent="orders", runs=10, accepted=10, completed=8, failed=1, cancelled=0, parked=1, waiting=0, lost=0,
    violations=(), hits=HITS, repeated=Repeated(tool=2, llm=1, llm_cost_usd=0.25), seconds=12.34567, model="stand-in",
)  # fmt: skip


@pytest.mark.parametrize(
    ("report", "kept"),
    [
        (KEPT, True),
        (replace(KEPT, completed=0, failed=9), True),  # the App's own doing
        (replace(KEPT, lost=1), False),
        (replace(KEPT, violations=("step a is scheduled a second time",)), False),
    ],
)
def test_a_promise_is_broken_by_what_is_lost_or_doubled(report: Report, kept: bool) -> None:
    assert report.kept is kept
    wrong = [what for what, _, _, right in numbers(report) if right is False]
    assert (wrong == []) is kept


@pytest.mark.parametrize(
    ("delays", "p50", "p99"),
    [([], None, None), ([2.0], 2.0, 2.0), ([3, 1, 2], 2, 3), ([n / 10 for n in range(200)], 9.9, 19.7)],
)
def test_percentiles_are_values_that_came(delays: list[float], p50: float | None, p99: float | None) -> None:
    assert recovery(delays) == {"p50_s": p50, "p99_s": p99}


def test_hits_are_gathered_by_what_was_done() -> None:
    assert {what: len(hits) for what, hits in by_strike(HITS).items()} == {"kill agents": 2, "kill tools": 1}


def test_the_document_holds_everything() -> None:
    document = codec.loads(codec.dumps(KEPT.as_json()))
    assert (document["kept"], document["lost"], document["doubled"], document["seconds"]) == (True, 0, 0, 12.346)
    assert document["repeated"] == {"tool": 2, "llm": 1, "llm_cost_usd": 0.25}
    assert document["recover"] == {"p50_s": 2.0, "p99_s": 3.0}
    assert document["kills"][1] == {
        "what": "kill tools", "whom": "tools.1", "at_s": 4.25, "held": 0, "went_on": 0, "p50_s": None, "p99_s": None,
    }  # fmt: skip


@pytest.mark.parametrize(("cost", "shown"), [(None, "-"), (0.25, "$0.250000")])
def test_a_cost_that_nobody_knows_is_not_made_up(cost: float | None, shown: str) -> None:
    rows = {what: is_ for what, is_, _, _ in numbers(replace(KEPT, repeated=Repeated(0, 3, cost)))}
    assert (rows["model calls repeated"], rows["what these would have cost"]) == ("3", shown)
