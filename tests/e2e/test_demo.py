"""The support desk: its agent in milliseconds, and the whole demo as a newcomer runs it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trunkline import testing
from trunkline.authoring.loading import load_app
from trunkline.testing import ToolCall

APP = Path(__file__).parents[2] / "examples" / "support_desk" / "app.py"
ORDER = {"order_id": "o-1", "customer": "c-1", "sku": "kettle", "cents": 500}


@pytest.mark.parametrize(("cents", "refunds"), [(250, [("o-1", 250)]), (0, [])])
async def test_an_order_is_triaged_and_refunded_only_if_the_model_says_so(cents: int, refunds: list[Any]) -> None:
    app = load_app(str(APP))
    given: list[tuple[str, int]] = []
    outcome = await testing.run(
        app.agents["orders"],
        ORDER,
        tools={
            "check_stock": 3,
            "score_risk": 0.5,
            "order_history": ["lost"],
            "refund": lambda order_id, cents: given.append((order_id, cents)) or "refunded",
        },
        model=[ToolCall("order_history", {"order_id": "o-1"}), json.dumps({"reason": "lost", "refund_cents": cents})],
    )
    assert outcome.status == "completed", outcome.error
    assert outcome.output.model_dump() == {"reason": "lost", "refund_cents": cents}
    assert given == refunds
    assert [event.type for event in outcome.emitted] == ["order.triaged"]


def test_a_model_call_counts_as_repeated_only_if_its_answer_was_recorded_before() -> None:
    facts = load_app(str(APP)) and importlib.import_module("support_desk.facts")
    first, second = ("o-1", 1), ("o-1", 2)
    assert facts.compare({first: 10.0}, [(first, 9.0)]) == (0, 0, 0)
    assert facts.compare({first: 10.0}, [(first, 6.0), (first, 9.0)]) == (0, 0, 1)
    assert facts.compare({first: 10.0}, [(first, 9.0), (first, 12.0)]) == (0, 1, 0)
    assert facts.compare({first: 10.0}, [(first, 9.0), (second, 12.0)]) == (1, 0, 0)


@pytest.mark.timeout(200)
def test_the_demo_ends_by_itself_and_every_number_is_right() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trunkline.cli.main", "demo", "--orders", "40", "--within", "150", "--json"],
        capture_output=True, text=True, timeout=160, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    report = json.loads(done.stdout)
    numbers = report["numbers"]
    assert (numbers["orders accepted"], numbers["orders completed"], numbers["customers refunded"]) == (40, 40, 40)
    assert numbers["customers refunded twice"] == numbers["recorded model calls repeated"] == 0
    assert numbers["model calls made and not recorded"] == numbers["work of the killed that was lost"] == 0
    assert numbers["refunds asked of the bank"] >= 40
    assert set(report["recovery_s"]) == {"agents", "tools", "llm"}
    assert all(report["recovery_s"].values())
