"""What happens to a run because of others: newer requests, handlers that pass by, parents, children, time."""

from __future__ import annotations

from integration.agents.conftest import Exchange, Worker
from trunkline.domain.codec import dumps
from trunkline.domain.events import CloudEvent
from trunkline.domain.status import EnvelopeKind
from trunkline.store import runs

SIGNAL, CANCEL = EnvelopeKind.SIGNAL, EnvelopeKind.CANCEL
GO = {"name": "go", "data": "on"}


async def test_a_busy_instance_rejects(exchange: Exchange, worker: Worker) -> None:
    first = await exchange.request("rejecting", "one", "first")
    await exchange.until(first, "waiting")
    second = await exchange.until(await exchange.request("rejecting", "one", "second"), "failed")
    assert second.error is not None
    assert second.error["type"] == "InstanceBusy"
    await exchange.post("rejecting", "one", SIGNAL, GO, run=first)
    assert (await exchange.until(first, "completed")).output == "first on"


async def test_a_newer_request_interrupts(exchange: Exchange, worker: Worker) -> None:
    first = await exchange.request("interrupting", "one", "first")
    await exchange.until(first, "waiting")
    second = await exchange.request("interrupting", "one", "second")
    assert "interrupted" in str((await exchange.until(first, "cancelled")).error)
    await exchange.until(second, "waiting")
    await exchange.post("interrupting", "one", SIGNAL, GO, run=second)
    assert (await exchange.until(second, "completed")).output == "second on"


async def test_a_cycle_of_asks_fails_at_once(exchange: Exchange, worker: Worker) -> None:
    ended = await exchange.until(await exchange.request("mirror", "itself", "itself"), "failed")
    assert ended.error is not None
    assert "itself waiting" in ended.error["message"]


async def test_cancelling_a_parent_reaches_its_private_child(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("waiting_parent", "one", "well")

    async def child() -> runs.Run | None:
        found, _ = await runs.list_runs(exchange.db, "default", agent="patient", status="waiting")
        return found[0] if found else None

    asked = await exchange.eventually(child)
    await exchange.post("waiting_parent", "one", CANCEL, {"reason": "no more"}, run=run)
    await exchange.until(run, "cancelled")
    assert "no longer waits" in str((await exchange.until(asked.id, "cancelled")).error)


async def test_a_handler_runs_beside_the_run_and_may_cancel_it(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("watched", "w-1", "well")
    await exchange.until(run, "waiting")
    event = CloudEvent(source="test", type="watched.poked", data={"id": "w-1"})
    await exchange.bus.publish(exchange.bus.subjects.event("default", event.type), dumps(event.to_body()))
    assert "somebody poked it" in str((await exchange.until(run, "cancelled")).error)
    found, _ = await runs.list_runs(exchange.db, "default", agent="watched", key="w-1", status="completed")
    assert [one.handler for one in found] == ["watched.poked"]


async def test_a_timer_wins_a_race_and_the_wait_is_called_off(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("racing", "one", "well")
    await exchange.until(run, "waiting")

    await exchange.until_due()
    assert (await exchange.until(run, "completed")).output == "well None"
    assert (await exchange.entries(run)).count("StepCancelled") == 1
