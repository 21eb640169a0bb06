"""The documentation's example works unchanged, on the engine that runs it in production."""

from __future__ import annotations

from functools import partial

import desk
import pytest
from desk import OrderCancelled, OrderPlaced, Receipt, Verdict, orders, refund, triage

from trunkline import CloudEvent, testing
from trunkline.authoring.agent import InstanceView
from trunkline.domain.approvals import signal_name
from trunkline.domain.journal import RunCompleted, StepScheduled
from trunkline.engine.replay import RunDriver

ORDER = OrderPlaced(id="o1", sku="lamp")
SMALL = [testing.ToolCall("lookup", {"order_id": "o1"}), Verdict(refund_cents=500)]
LARGE = [Verdict(refund_cents=20_000)]


async def test_the_whole_way_with_real_tools():
    outcome = await testing.run(orders, ORDER, model=SMALL)
    assert outcome.output == Verdict(refund_cents=500)
    assert [(step.kind, step.name) for step in outcome.steps] == [
        ("tool", "check_stock"),
        ("tool", "score_risk"),
        ("agent", "triage"),
        ("tool", "refund"),
        ("emit", "order.triaged"),
    ]
    assert outcome.named("triage")[0].args == "... 3 0.25"
    assert outcome.named("refund")[0].value["cents"] == 500
    assert [(event.type, event.data, event.source) for event in outcome.emitted] == [
        ("order.triaged", {"refund_cents": 500}, "trunkline/orders")
    ]


async def test_the_asked_agent_runs_its_model_and_tool():
    (child,) = (await testing.run(orders, ORDER, model=SMALL)).children
    assert child.agent == "triage"
    assert child.key.startswith("ask-")
    assert [step.kind for step in child.steps] == ["llm", "tool", "llm"]
    assert [message["role"] for message in child.conversation] == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(("approved", "refunded"), [(True, 1), (False, 0)])
async def test_a_large_refund_waits_for_an_approval(approved, refunded):
    outcome = await testing.run(orders, ORDER, model=LARGE, approvals={"refund": approved})
    assert outcome.output == Verdict(refund_cents=20_000)
    assert len(outcome.named("refund")) == refunded
    subject = {"refund_cents": 20_000}
    assert outcome.named(signal_name("refund", subject))[0].args == {"subject": subject}


async def test_an_approval_that_nobody_gives_times_out_without_waiting():
    outcome = await testing.run(orders, ORDER, model=[Verdict(refund_cents=20_000)], approvals={"other": True})
    assert outcome.error["type"] == "TimedOut"
    assert "172800 s" in outcome.error["message"]


async def test_fakes_take_the_place_of_tools():
    outcome = await testing.run(
        orders,
        ORDER,
        model=SMALL,
        tools={"check_stock": 0, "refund": lambda order_id, cents: Receipt(order_id=order_id, cents=cents, proof="p")},
    )
    assert outcome.named("check_stock")[0].value == 0
    assert outcome.named("refund")[0].value == {"order_id": "o1", "cents": 500, "proof": "p"}


async def test_an_event_wakes_the_agent_with_its_data():
    event = CloudEvent(source="shop", type="order.placed", data={"id": "o1", "sku": "lamp", "order_id": "o1"})
    outcome = await testing.run(orders, event, model=SMALL)
    assert outcome.output.refund_cents == 500


async def test_a_handler_of_an_event_cancels_the_current_run():
    outcome = await testing.run(orders, OrderCancelled(order_id="o1"), handler="order.cancelled")
    assert outcome.cancelled_run == "customer cancelled"
    assert outcome.emitted == []
    (step,) = outcome.steps
    assert (step.kind, step.name, step.args) == ("emit", "trunkline.cancel", {"reason": "customer cancelled"})


async def test_tools_stay_plain_functions():
    receipt = await refund("o1", 5)
    assert (receipt.order_id, receipt.cents, len(receipt.proof)) == ("o1", 5, 36)
    assert desk.score_risk("x1") == 0.5
    assert desk.score_risk.__name__ == "score_risk"


@pytest.mark.parametrize(("agent", "message"), [(orders, ORDER), (triage, "which?")], ids=["orders", "triage"])
async def test_every_beginning_of_the_journal_replays_to_the_same_steps(agent, message):
    outcome = await testing.run(agent, message, model=SMALL)
    body = partial(agent.coroutine, view=InstanceView("default", agent.name, "test"))
    for length in range(1, len(outcome.journal)):
        driver = RunDriver.replay(outcome.journal[:length], body, agent=agent.name)
        new = driver.take_commands()
        assert [type(entry) for entry in new] == [type(entry) for entry in outcome.journal[length : length + len(new)]]
        for key, open_ in driver.open_steps.items():
            if open_.scheduled.kind == "llm":
                assert driver.payload(key)["messages"][0] == {"role": "system", "content": "Be fair."}
    assert isinstance(outcome.journal[-1], RunCompleted)
    scheduled = [entry.key for entry in outcome.journal if isinstance(entry, StepScheduled)]
    assert len(set(scheduled)) == len(scheduled)


def test_what_is_published_of_the_declarations():
    agents, tools = desk.app.specs()
    assert [(agent.name, agent.kind) for agent in agents] == [("triage", "llm"), ("orders", "function")]
    assert agents[0].tools == ("lookup",)
    assert agents[0].output_schema["properties"]["refund_cents"]["type"] == "integer"
    assert [(one.event_type, one.key, one.handler) for one in agents[1].subscriptions] == [
        ("order.placed", "data.order_id", ""),
        ("order.cancelled", "data.order_id", "order.cancelled"),
    ]
    spec = {tool.name: tool for tool in tools}["refund"]
    assert (spec.app, spec.effect, spec.timeout, spec.retry.retries) == ("support", "idempotent", 10.0, 3)
    assert set(spec.input_schema["properties"]) == {"order_id", "cents"}
    assert spec.description == "Pay back."
