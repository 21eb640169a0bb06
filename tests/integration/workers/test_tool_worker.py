"""A tool worker on a real bus: what becomes of the items that it is given."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from fake_owner import Owner
from pydantic import BaseModel

from trunkline.authoring.app import App
from trunkline.authoring.tool_context import ToolContext
from trunkline.bus import stored
from trunkline.bus.connection import CoreMessage
from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import derived_id
from trunkline.domain.work import NOT_BEGUN, PermitAnswer, WorkItem
from trunkline.observe import metrics
from trunkline.store import dead_letters, payloads, workers
from trunkline.store.database import Database
from trunkline_workers import permits
from trunkline_workers.absence import Absence
from trunkline_workers.tool import service

Serving = Callable[..., Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]


class Receipt(BaseModel):
    order: str
    cents: int


class Declined(Exception):
    retryable = False


class Shop:
    """An app whose tools can be watched and held."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.began: asyncio.Queue[Any] = asyncio.Queue()
        self.go_on = asyncio.Event()
        self.thread_may_end = threading.Event()
        self.calls: list[Any] = []
        self.cancelled = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self._quick(self.app)
        self._slow(self.app)

    def _quick(self, app: App) -> None:
        @app.tool(effect="idempotent")
        async def refund(tc: ToolContext, order: str, cents: int) -> Receipt:
            self.calls.append(tc)
            return Receipt(order=order, cents=cents)

        @app.tool(effect="unsafe")
        async def transfer(tc: ToolContext, cents: int) -> str:
            self.calls.append(tc)
            return "moved"

        @app.tool
        def where() -> str:
            return threading.current_thread().name

        @app.tool
        async def raises(kind: str) -> str:
            raise {"value": ValueError("no such order"), "declined": Declined("card"), "exit": SystemExit(3)}[kind]

        @app.tool
        async def large(size: int) -> str:
            return "x" * size

        self.refund, self.transfer, self.where, self.raises, self.large = refund, transfer, where, raises, large

    def _slow(self, app: App) -> None:
        @app.tool(timeout=0.5, concurrency=1)
        def stuck(n: int) -> int:
            self.loop.call_soon_threadsafe(self.began.put_nowait, n)
            self.thread_may_end.wait(30)
            return n

        @app.tool
        async def held(name: str) -> str:
            self.began.put_nowait(name)
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return name

        @app.tool(concurrency=1)
        async def single(name: str) -> str:
            self.began.put_nowait(name)
            await self.go_on.wait()
            return name

        @app.tool(effect="unsafe")
        async def unsafe(name: str) -> str:
            self.began.put_nowait(name)
            await self.go_on.wait()
            return name

        @app.tool(concurrency=1, timeout=0.2)
        async def stubborn(n: int) -> int:
            self.began.put_nowait(n)
            while not self.go_on.is_set():
                with suppress(asyncio.CancelledError):
                    await self.go_on.wait()
            return n

        @app.tool(rate=20.0)
        async def paced() -> float:
            return time.monotonic()

        @app.tool
        async def reports(tc: ToolContext) -> None:
            tc.progress("half", {"percent": 50})
            await asyncio.to_thread(tc.progress, "done", {"percent": 100})

        self.stuck, self.held, self.single, self.paced, self.reports = stuck, held, single, paced, reports
        self.unsafe, self.stubborn = unsafe, stubborn


@pytest.fixture
async def shop() -> Any:
    shop = Shop()
    yield shop
    shop.go_on.set()
    shop.thread_may_end.set()


# --- results and errors ---------------------------------------------------------------------------------------------


async def test_a_call_is_carried_out_and_acknowledged(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.refund, "o1", 250)
    outcome = await owner.outcome(item)
    assert outcome.value == {"order": "o1", "cents": 250}
    assert (outcome.run, outcome.step, outcome.attempt, outcome.error) == (item.run, item.step, 1, None)
    assert outcome.worker
    assert outcome.execution
    [context] = shop.calls
    assert (context.idempotency_key, context.attempt) == (item.idempotency_key, 1)
    await eventually(lambda: _none(owner))
    assert owner.permits.empty()  # a fresh, idempotent call asks nobody


async def test_a_repeated_attempt_asks_first(shop: Shop, owner: Owner, serving: Serving) -> None:
    """An earlier attempt may have an outcome by now."""
    owner.permit = lambda _: PermitAnswer(answer="refused", reason="it has ended")
    await serving(service.serve, shop.app)
    await owner.call(shop.refund, "o1", 250, attempt=2)
    assert (await owner.asked()).attempt == 2
    await owner.outcome(await owner.call(shop.refund, "o2", 250))
    assert len(shop.calls) == 1, "only the fresh one was carried out"


async def test_a_synchronous_tool_runs_in_a_thread(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    outcome = await owner.outcome(await owner.call(shop.where))
    assert outcome.value == "tool where-1"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("value", {"type": "ValueError", "message": "no such order", "retryable": True}),
        ("declined", {"type": "Declined", "message": "card", "retryable": False}),
        ("exit", {"type": "SystemExit", "message": "3", "retryable": True}),
    ],
)
async def test_an_exception_is_told_without_a_traceback(
    shop: Shop, owner: Owner, serving: Serving, kind: str, error: dict[str, Any]
) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.raises, kind)
    assert (await owner.outcome(item)).error == error
    assert (await owner.outcome(await owner.call(shop.where))).error is None  # the worker goes on


async def test_arguments_that_do_not_fit_are_not_retryable(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.refund, args={"order": "o1", "cents": "many", "extra": 1})
    error = (await owner.outcome(item)).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("BadInput", False)
    assert "cents" in error["message"]


async def test_a_large_result_is_kept_aside_and_a_huge_one_refused(
    shop: Shop, owner: Owner, serving: Serving, db: Database
) -> None:
    await serving(service.serve, shop.app, offload_over=2000, max_payload=10_000)
    kept = await owner.outcome(await owner.call(shop.large, 5000))
    assert kept.value is None
    assert await payloads.get(db, "default", kept.value_ref) == "x" * 5000
    refused = await owner.outcome(await owner.call(shop.large, 20_000))
    assert refused.error is not None
    assert (refused.error["type"], refused.error["retryable"]) == ("PayloadTooLarge", False)


async def test_arguments_kept_aside_are_fetched(shop: Shop, owner: Owner, serving: Serving, db: Database) -> None:
    await serving(service.serve, shop.app)
    await payloads.put(db, "default", derived_id("args"), {"order": "o2", "cents": 1})
    subject = owner.bus.subjects.tool("default", "shop", "refund")
    item = owner.item("tool", "refund", None, args_ref=derived_id("args"))
    await owner.publish(item, subject)
    assert (await owner.outcome(item)).value == {"order": "o2", "cents": 1}
    lost = owner.item("tool", "refund", None, args_ref=derived_id("never put"))
    await owner.publish(lost, subject)
    error = (await owner.outcome(lost)).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("ArgumentsLost", False)


async def test_progress_is_streamed(shop: Shop, owner: Owner, serving: Serving, eventually: Eventually) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.reports, attempt=2)
    await owner.outcome(item)
    await eventually(lambda: len(owner.chunks) == 2)
    assert [(each.id, each.kind, each.text, each.data) for each in owner.chunks] == [
        ("2.2.0", "progress", "half", {"percent": 50}),
        ("2.2.1", "progress", "done", {"percent": 100}),
    ]


# --- time -----------------------------------------------------------------------------------------------------------


async def test_an_asynchronous_tool_is_stopped_at_its_timeout(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    error = (await owner.outcome(await owner.call(shop.held, "a", timeout=0.2))).error
    assert error == {"type": "TimedOut", "message": "held gave no result within 0.2 s", "retryable": True}
    assert shop.cancelled.is_set()


async def test_a_stuck_thread_is_reported_and_does_not_block_others(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    for n in (1, 2):  # with a concurrency of 1: the second runs although the first never returned
        error = (await owner.outcome(await owner.call(shop.stuck, n))).error
        assert error is not None
        assert error["type"] == "TimedOut"
    assert (await owner.outcome(await owner.call(shop.where))).error is None
    third = await owner.call(shop.stuck, 3)  # two threads are stuck, which is the limit: it is handed back, not lost
    shop.thread_may_end.set()
    assert (await owner.outcome(third)).value == 3
    assert [shop.began.get_nowait() for _ in range(3)] == [1, 2, 3]


async def test_a_tool_that_will_not_be_stopped_is_left_behind_and_bounded(
    shop: Shop, owner: Owner, serving: Serving
) -> None:
    await serving(service.serve, shop.app)
    first = await owner.outcome(await owner.call(shop.stubborn, 1))
    assert first.error is not None
    assert first.error["type"] == "TimedOut"
    second = await owner.call(shop.stubborn, 2)  # with a concurrency of 1, one may be left behind: this one waits
    assert (await owner.outcome(await owner.call(shop.where))).error is None
    assert shop.began.qsize() == 1
    shop.go_on.set()
    assert (await owner.outcome(second)).value == 2


async def test_the_rate_is_kept(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    items = [await owner.call(shop.paced) for _ in range(8)]
    times = sorted([(await owner.outcome(item)).value for item in items])
    assert times[-1] - times[0] >= 7 / 20 - 0.1 - 0.05  # up to a tenth of a second's worth goes at once


async def test_a_long_call_is_not_delivered_again(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    delivered_again = metrics.redelivered.labels(kind="tool")._value
    before = delivered_again.get()
    await serving(service.serve, shop.app, ack_wait=0.4)
    item = await owner.call(shop.held, "a")
    await asyncio.wait_for(shop.began.get(), 10)
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > 1.5)
    shop.go_on.set()
    assert (await owner.outcome(item)).value == "a"
    assert delivered_again.get() == before, "the server was told that it is in progress"
    assert shop.began.empty()
    assert owner.permits.empty()


# --- permits --------------------------------------------------------------------------------------------------------


async def test_an_unsafe_tool_asks_and_goes(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    outcome = await owner.outcome(item)
    request = await owner.asked()
    assert (request.run, request.step, request.attempt, request.epoch) == (item.run, item.step, 1, 1)
    assert (request.worker, request.execution) == (outcome.worker, outcome.execution)
    assert outcome.value == "moved"


async def test_a_refused_call_is_acknowledged_and_not_executed(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    owner.permit = lambda _: PermitAnswer(answer="refused", reason="it has ended")
    await serving(service.serve, shop.app)
    await owner.call(shop.transfer, 5)
    await owner.asked()
    await eventually(lambda: _none(owner))
    assert shop.calls == []
    assert owner.outcomes == []


async def test_without_an_answer_nothing_is_executed_and_the_same_execution_asks_again(
    shop: Shop, owner: Owner, serving: Serving
) -> None:
    owner.permit = lambda _: None
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    first = await owner.asked()
    second = await owner.asked()
    assert shop.calls == []
    assert first.execution == second.execution
    owner.permit = lambda _: PermitAnswer(answer="go")
    assert (await owner.outcome(item)).execution == first.execution
    assert len(shop.calls) == 1


async def test_an_answer_that_is_lost_together_with_the_item_is_asked_for_again(
    shop: Shop, owner: Owner, serving: Serving
) -> None:
    owner.permit = lambda _: None  # it may have said "go"
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    first = await owner.asked()
    await stored.purge(owner.bus, "WORK", owner.bus.subjects.tool("default", "shop", "transfer"), up_to=2**32)
    assert await owner.work_left() == 0
    owner.permit = lambda _: PermitAnswer(answer="go")
    outcome = await owner.outcome(item)
    assert (outcome.value, outcome.execution) == ("moved", first.execution)
    assert len(shop.calls) == 1


async def test_who_gives_up_what_it_may_have_been_let_begin_says_that_it_did_not(
    shop: Shop, owner: Owner, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits, "_LONGEST", 0.0)
    owner.permit = lambda _: None
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    first, told, second = await owner.asked(), await owner.outcome(item), await owner.asked()
    assert told.error is not None
    assert (told.error["type"], told.probe, told.execution) == (NOT_BEGUN, True, first.execution)
    assert second.execution != first.execution, "that one never begins"
    assert shop.calls == []


PARKED = PermitAnswer(answer="later", reason="the run is parked")


@pytest.mark.parametrize(("answer", "age"), [(None, 0.0), (PARKED, 0.0), (PARKED, 3 * 86400.0)])
async def test_an_item_outlasts_its_deliveries_while_it_is_not_its_time(
    shop: Shop, owner: Owner, serving: Serving, answer: PermitAnswer | None, age: float
) -> None:
    owner.permit = lambda _: answer
    await serving(service.serve, shop.app, max_deliver=2)
    item = await owner.call(shop.transfer, 5, published_at=time.time() - age)
    for _ in range(3):
        await owner.asked()
    owner.permit = lambda _: PermitAnswer(answer="go")
    assert (await owner.outcome(item)).value == "moved"
    assert len(shop.calls) == 1


async def test_an_item_that_comes_twice_outlasts_its_deliveries_while_it_runs_here(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    sent_again = asyncio.Event()

    async def hear(message: CoreMessage) -> None:
        if WorkItem.read(message.data).needs_permit:
            sent_again.set()

    await serving(service.serve, shop.app, max_deliver=2)
    item = await owner.call(shop.held, "one")
    await shop.began.get()
    subject = owner.bus.subjects.tool("default", "shop", "held")
    await owner.bus.subscribe(subject, hear)
    await owner.publish(item, subject)
    await asyncio.wait_for(sent_again.wait(), 20)
    shop.go_on.set()
    assert (await owner.outcome(item)).value == "one"
    await eventually(lambda: _none(owner))
    assert shop.began.empty(), "it was carried out once"


async def test_an_item_from_the_future_grows_old_all_the_same(shop: Shop, owner: Owner, serving: Serving) -> None:
    sent_again: asyncio.Queue[WorkItem] = asyncio.Queue()

    async def hear(message: CoreMessage) -> None:
        sent_again.put_nowait(WorkItem.read(message.data))

    await owner.bus.subscribe(owner.bus.subjects.tool("default", "shop", "transfer"), hear)
    owner.permit = lambda _: PARKED
    await serving(service.serve, shop.app, max_deliver=1)
    item = await owner.call(shop.transfer, 5, published_at=time.time() + 1e6)
    first, second, third = [await asyncio.wait_for(sent_again.get(), 20) for _ in range(3)]
    assert first == item
    assert second == third == item.model_copy(update={"published_at": second.published_at, "again": True})
    assert second.published_at < time.time() + 60, "from here on it is counted how long it is kept"


@pytest.mark.parametrize("late", [False, True])
async def test_an_unsafe_call_that_was_let_begin_and_did_not_says_so(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    if late:
        owner.permit = lambda _: PermitAnswer(answer="go", begin_within=0.0)
    else:
        monkeypatch.setattr(Absence, "since", lambda *_: True)
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    asked, told = await owner.asked(), await owner.outcome(item)
    assert (told.probe, told.execution, told.value) == (True, asked.execution, None)
    assert told.error is not None
    assert told.error["type"] == NOT_BEGUN
    await eventually(lambda: _none(owner))
    assert shop.calls == []
    assert owner.permits.empty(), "nobody asks again: the owner issues its next attempt"
    owner.permit = lambda _: PermitAnswer(answer="refused")
    await owner.publish(item, owner.bus.subjects.tool("default", "shop", "transfer"))
    assert (await owner.asked()).execution != asked.execution, "that one never begins"


async def test_later_means_later(shop: Shop, owner: Owner, serving: Serving) -> None:
    answers = [PermitAnswer(answer="later"), PermitAnswer(answer="go")]
    owner.permit = lambda _: answers.pop(0)
    await serving(service.serve, shop.app)
    item = await owner.call(shop.transfer, 5)
    assert (await owner.outcome(item)).value == "moved"
    assert answers == []
    assert len(shop.calls) == 1


async def test_an_old_item_asks(shop: Shop, owner: Owner, serving: Serving, eventually: Eventually) -> None:
    owner.permit = lambda _: PermitAnswer(answer="refused")
    await serving(service.serve, shop.app)
    await owner.call(shop.refund, "o1", 1, published_at=time.time() - 61)
    await owner.asked()
    await eventually(lambda: _none(owner))
    assert shop.calls == []


async def test_a_redelivered_item_asks(shop: Shop, owner: Owner, serving: Serving) -> None:
    first = await serving(service.serve, shop.app, drain=0.0)
    item = await owner.call(shop.held, "a")
    await asyncio.wait_for(shop.began.get(), 10)
    assert owner.permits.empty()
    await first.stop()  # it hands the call back
    await serving(service.serve, shop.app)
    await owner.asked()
    shop.go_on.set()
    assert (await owner.outcome(item)).value == "a"


# --- stopping -------------------------------------------------------------------------------------------------------


async def test_a_cancelled_call_is_stopped(shop: Shop, owner: Owner, serving: Serving, eventually: Eventually) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.held, "a")
    other = await owner.call(shop.held, "b")
    await asyncio.wait_for(shop.began.get(), 10)
    await asyncio.wait_for(shop.began.get(), 10)
    owner.cancel(item)
    error = (await owner.outcome(item)).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("Cancelled", False)
    shop.go_on.set()
    assert (await owner.outcome(other)).value == "b"
    await eventually(lambda: _none(owner))


async def test_an_unsafe_call_is_not_stopped_halfway(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.unsafe, "a")
    await asyncio.wait_for(shop.began.get(), 10)
    owner.cancel(item)
    other = await owner.call(shop.held, "b")
    await asyncio.wait_for(shop.began.get(), 10)
    owner.cancel(other)
    assert (await owner.outcome(other)).error is not None  # which was cancelled later
    shop.go_on.set()
    assert (await owner.outcome(item)).value == "a"


async def test_an_unsafe_call_that_times_out_is_not_retryable(shop: Shop, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, shop.app)
    error = (await owner.outcome(await owner.call(shop.unsafe, "a", timeout=0.2))).error
    assert error is not None
    assert (error["type"], error["retryable"], error["unknown"]) == ("TimedOut", False, True)


async def test_a_worker_that_was_declared_dead_ends_with_an_error(
    shop: Shop, owner: Owner, serving: Serving, db: Database, eventually: Eventually
) -> None:
    running = await serving(service.serve, shop.app)
    await eventually(lambda: _declared_dead(db))
    with pytest.raises(Unavailable, match="declared it dead"):
        await running.ended()


async def test_what_runs_here_already_is_not_begun_again(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.held, "a")
    await asyncio.wait_for(shop.began.get(), 10)
    await owner.publish(item, owner.bus.subjects.tool("default", "shop", "held"))  # as if it were delivered again
    assert (await owner.outcome(await owner.call(shop.where))).error is None
    assert shop.began.empty()
    shop.go_on.set()
    assert [(await owner.outcome(item)).value for _ in range(2)] == ["a", "a"]  # told for each delivery
    await eventually(lambda: _none(owner))
    assert shop.began.empty()
    assert owner.permits.empty()


async def test_what_was_finished_here_is_told_again_and_not_executed_again(
    shop: Shop, owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    await serving(service.serve, shop.app)
    item = await owner.call(shop.refund, "o1", 1)
    first = await owner.outcome(item)
    await owner.publish(item, owner.bus.subjects.tool("default", "shop", "refund"))  # as if the broker forgot the end
    assert await owner.outcome(item) == first
    assert len(shop.calls) == 1
    later = item.model_copy(update={"attempt": 2})
    await owner.publish(later, owner.bus.subjects.tool("default", "shop", "refund"))
    assert (await owner.outcome(later)).attempt == 2
    assert len(shop.calls) == 2
    await eventually(lambda: _none(owner))


async def test_a_drain_lets_running_calls_finish_and_begins_no_others(
    shop: Shop, owner: Owner, serving: Serving, db: Database, eventually: Eventually
) -> None:
    running = await serving(service.serve, shop.app, drain=20.0)
    item = await owner.call(shop.single, "a")
    later = await owner.call(shop.single, "b")
    await asyncio.wait_for(shop.began.get(), 10)
    running.stopping.set()
    await eventually(lambda: _draining(db))
    shop.go_on.set()
    await running.stop()
    assert (await owner.outcome(item)).value == "a"
    assert await owner.work_left() == 1
    await serving(service.serve, shop.app)
    assert (await owner.outcome(later)).value == "b"


async def test_what_does_not_finish_in_time_is_handed_back(shop: Shop, owner: Owner, serving: Serving) -> None:
    first = await serving(service.serve, shop.app, drain=0.1, ack_wait=60.0)
    item = await owner.call(shop.held, "a")
    await asyncio.wait_for(shop.began.get(), 10)
    await first.stop()
    assert shop.cancelled.is_set()
    assert owner.outcomes == []
    shop.go_on.set()
    await serving(service.serve, shop.app, ack_wait=60.0)  # at once, not after the time for the acknowledgement
    assert (await owner.outcome(item)).value == "a"


# --- nonsense -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "not acceptable JSON"),
        (b'{"tenant": "default"}', "not a work item"),
        (b'"\\u0000"', "NUL"),
        (b"\xff\xfe", "not acceptable JSON"),
    ],
)
async def test_nonsense_becomes_a_dead_letter(
    shop: Shop, owner: Owner, serving: Serving, *, db: Database, eventually: Eventually, body: bytes, reason: str
) -> None:
    await serving(service.serve, shop.app)
    subject = owner.bus.subjects.tool("default", "shop", "refund")
    await owner.bus.publish(subject, body)
    [letter] = await eventually(lambda: _letters(db))
    assert (letter.source, letter.subject) == ("work", subject)
    assert reason in letter.detail
    await eventually(lambda: _none(owner))
    assert (await owner.outcome(await owner.call(shop.where))).error is None  # the worker goes on


@pytest.mark.parametrize(
    "changes", [{"name": "transfer"}, {"kind": "llm"}, {"tenant": "other"}, {"reply": "elsewhere"}]
)
async def test_an_item_in_the_wrong_place_becomes_a_dead_letter(
    shop: Shop, owner: Owner, serving: Serving, *, db: Database, eventually: Eventually, changes: dict[str, str]
) -> None:
    await serving(service.serve, shop.app)
    item = owner.item("tool", "refund", {"order": "o", "cents": 1}).model_copy(update=changes)
    await owner.publish(item, owner.bus.subjects.tool("default", "shop", "refund"))
    assert len(await eventually(lambda: _letters(db))) == 1
    assert shop.calls == []


async def _declared_dead(db: Database) -> bool:
    [worker] = await workers.list_workers(db)
    return await workers.declare_dead(db, worker.worker, worker.beat_at)


async def _draining(db: Database) -> bool:
    return any(worker.draining for worker in await workers.list_workers(db))


async def _letters(db: Database) -> list[dead_letters.Kept]:
    return (await dead_letters.list_dead_letters(db, "default"))[0]


async def _none(owner: Owner) -> bool:
    return await owner.work_left() == 0
