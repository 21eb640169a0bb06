"""An agent worker against real NATS and Postgres: from a letter to the run's end."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.bus import publish
from trunkline.domain.errors import RunEnded
from trunkline.domain.events import CloudEvent
from trunkline.domain.status import EnvelopeKind
from trunkline.store import dead_letters, instances, runs

__all__ = ["hands"]  # a fixture

SIGNAL = EnvelopeKind.SIGNAL


async def test_a_request_runs_to_its_end_through_steps_and_an_asked_agent(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("parent", "a key/with.dots *>", 3)
    ended = await exchange.until(run, "completed", "failed")
    assert (ended.status, ended.output) == ("completed", 26)
    entries = await exchange.entries(run)
    assert entries[0] == "RunStarted"
    assert entries[-1] == "RunCompleted"
    assert entries.count("StepScheduled") == entries.count("StepCompleted") == 3


async def test_state_is_what_the_last_run_left(exchange: Exchange, worker: Worker) -> None:
    for number, total in ((2, 2), (3, 5)):
        ended = await exchange.until(await exchange.request("tally", "one", number), "completed")
        assert ended.output == total
    assert (await instances.get(exchange.db, "default", "tally", "one")).state == {"total": 5}


async def test_an_early_signal_is_kept_for_the_wait(exchange: Exchange, worker: Worker) -> None:
    await exchange.post("patient", "early", SIGNAL, {"name": "go", "data": "now"})
    run = await exchange.request("patient", "early", "well")
    assert (await exchange.until(run, "completed")).output == "well now 2"


async def test_a_waiting_run_shows_so_and_goes_on_with_a_signal(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("patient", "late", "well")
    await exchange.until(run, "waiting")
    await exchange.post("patient", "late", SIGNAL, {"name": "go", "data": "then"}, run=run)
    assert (await exchange.until(run, "completed")).output == "well then 2"
    with pytest.raises(RunEnded):
        await exchange.post("patient", "late", SIGNAL, {"name": "go", "data": "again"}, run=run)


async def test_a_second_request_waits_for_the_first(exchange: Exchange, worker: Worker) -> None:
    first = await exchange.request("patient", "queue", "first")
    await exchange.until(first, "waiting")
    second = await exchange.request("patient", "queue", "second")
    for run, said in ((first, "first a 2"), (second, "second b 2")):
        await exchange.until(run, "waiting")
        await exchange.post("patient", "queue", SIGNAL, {"name": "go", "data": said.split()[1]}, run=run)
        assert (await exchange.until(run, "completed")).output == said


async def queued_behind(exchange: Exchange, key: str) -> tuple[str, str]:
    """A run that waits for a signal, and one that is queued behind it and has got two signals already."""
    first = await exchange.request("watched", key, "first")
    await exchange.until(first, "waiting")
    second = await exchange.request("watched", key, "second")
    for word in ("a", "b"):
        await exchange.post("watched", key, SIGNAL, {"name": "go", "data": word}, run=second)
    return first, second


async def dead_reasons(exchange: Exchange) -> list[str]:
    return [letter.reason for letter in (await dead_letters.list_dead_letters(exchange.db, "default"))[0]]


async def test_an_early_signal_that_its_run_did_not_live_to_get_is_a_dead_letter(
    exchange: Exchange, worker: Worker
) -> None:
    first, second = await queued_behind(exchange, "outlived")
    await exchange.post("watched", "outlived", SIGNAL, {"name": "go", "data": "on"}, run=first)
    assert (await exchange.until(second, "completed")).output == "second a"
    assert await dead_reasons(exchange) == ["its run has ended"]


async def test_early_signals_go_with_a_run_that_is_cancelled_in_the_queue(exchange: Exchange, worker: Worker) -> None:
    _, second = await queued_behind(exchange, "withdrawn")
    await exchange.post("watched", "withdrawn", EnvelopeKind.CANCEL, {"reason": "no longer wanted"}, run=second)
    await exchange.until(second, "cancelled")
    assert await dead_reasons(exchange) == ["its run has ended"] * 2


async def test_cancelling_ends_a_waiting_run(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("patient", "cancel", "well")
    await exchange.until(run, "waiting")
    await exchange.post("patient", "cancel", EnvelopeKind.CANCEL, {"reason": "no longer wanted"}, run=run)
    ended = await exchange.until(run, "cancelled")
    assert "no longer wanted" in str(ended.error)


async def test_a_handler_that_raises_fails_its_run_without_a_traceback(exchange: Exchange, worker: Worker) -> None:
    ended = await exchange.until(await exchange.request("raising", "one", 1), "failed")
    assert ended.error is not None
    assert (ended.error["type"], ended.error["message"]) == ("ValueError", "it does not work")


async def test_awaiting_what_is_not_durable_is_explained(exchange: Exchange, worker: Worker) -> None:
    ended = await exchange.until(await exchange.request("foreign", "one", 1), "failed")
    assert ended.error is not None
    assert ended.error["type"] == "NotDurable"
    assert "ctx.step" in ended.error["message"]


async def test_more_steps_at_once_than_the_bus_takes_at_once_are_all_issued(
    exchange: Exchange, worker: Worker, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "WINDOW", 8)
    run = await exchange.request("searcher", "many", 100)
    for _ in range(100):
        await hands.answer(await hands.item(), "found")
    assert (await exchange.until(run, "completed")).output == 100
    assert "StepRetried" not in await exchange.entries(run)


async def test_an_input_that_does_not_fit_fails_the_run(exchange: Exchange, worker: Worker) -> None:
    ended = await exchange.until(await exchange.request("parent", "bad", "three"), "failed")
    assert ended.error is not None
    assert ended.error["type"] == "BadInput"


async def test_an_event_wakes_an_agent_and_what_it_emits_wakes_another(exchange: Exchange, worker: Worker) -> None:
    event = CloudEvent(source="test", type="thing.happened", data={"id": "42"})
    await exchange.bus.publish(
        exchange.bus.subjects.event("default", event.type), event.model_dump_json(exclude_none=True).encode()
    )

    async def heard() -> list[runs.Run]:
        found, _ = await runs.list_runs(exchange.db, "default", agent="listening", status="completed")
        return found

    found = await exchange.eventually(heard)
    assert [(await exchange.until(run.id, "completed")).output for run in found] == ["heard 42"]


async def test_a_stopped_worker_hands_over_and_the_next_goes_on(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("patient", "handed", "well")
        await exchange.until(run, "waiting")
    async with Worker(exchange.settings):
        await exchange.post("patient", "handed", SIGNAL, {"name": "go", "data": "on"}, run=run)
        ended = await exchange.until(run, "completed")
    assert ended.output == "well on 2"
    entries = await exchange.entries(run)
    assert entries.count("StepScheduled") == 2, "the recorded step was not executed again"
