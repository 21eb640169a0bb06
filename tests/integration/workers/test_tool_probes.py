"""A tool worker asks a tool's probe, and writes down what it begins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_owner import Owner

from trunkline.authoring.app import App
from trunkline.authoring.probing import Happened, NotHappened
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain.ids import derived_id
from trunkline.domain.work import NOT_HAPPENED
from trunkline.observe import metrics
from trunkline.observe.ledger import read_ledger
from trunkline_workers.tool import service

Serving = Callable[..., Awaitable[Any]]


class Bank:
    """A tool and its probe, and what they were asked."""

    def __init__(self) -> None:
        self.app = App("bank")
        self.moved: list[str] = []
        self.looked: list[str] = []
        self.hauling, self.may_end = threading.Event(), threading.Event()

        def was_it_moved(tc: ToolContext, cents: int) -> Happened[str] | NotHappened:
            self.looked.append(tc.idempotency_key)
            if cents > 100:
                raise ConnectionError("the bank is closed")
            return Happened("moved") if tc.idempotency_key in self.moved else NotHappened()

        async def wrong(cents: int) -> Any:
            return "moved"

        @self.app.tool(effect="unsafe", probe=was_it_moved)
        async def move(tc: ToolContext, cents: int) -> str:
            self.moved.append(tc.idempotency_key)
            return "moved"

        @self.app.tool(effect="unsafe", probe=wrong)
        async def shift(cents: int) -> str:
            return "shifted"

        @self.app.tool(effect="unsafe", timeout=0.1, probe=was_it_moved)
        async def hang(tc: ToolContext, cents: int) -> str:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        @self.app.tool(effect="unsafe", probe=was_it_moved)
        def haul(cents: int) -> str:
            self.hauling.set()
            self.may_end.wait(30)
            return "hauled"

        self.move, self.shift, self.hang, self.haul = move, shift, hang, haul


@pytest.fixture
async def bank() -> Bank:
    return Bank()


async def test_what_happened_is_found_out_without_asking_and_without_doing_it(
    bank: Bank, owner: Owner, serving: Serving
) -> None:
    await serving(service.serve, bank.app)
    bank.moved.append(derived_id("step", owner.run, "one"))
    probe = await owner.call(bank.move, 1, step="one", probe=True)
    found = await owner.outcome(probe)
    assert (found.value, found.error, found.probe, found.effect) == ("moved", None, True, "unsafe")
    assert bank.looked == bank.moved == [probe.idempotency_key]
    assert owner.permits.empty()


async def test_who_finished_it_need_not_ask(bank: Bank, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, bank.app)
    await owner.outcome(await owner.call(bank.move, 1, step="one"))
    found = await owner.outcome(await owner.call(bank.move, 1, step="one", probe=True))
    assert (found.value, found.probe) == ("moved", False), "the outcome itself is told again"
    assert bank.looked == []


async def test_who_gave_it_up_must_ask(bank: Bank, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, bank.app)
    given_up = (await owner.outcome(await owner.call(bank.hang, 1, step="one"))).error
    assert given_up is not None
    assert given_up["unknown"] is True
    probe = await owner.call(bank.hang, 1, step="one", probe=True)
    found = await owner.outcome(probe)
    assert (found.probe, bank.looked) == (True, [probe.idempotency_key])
    assert found.error is not None
    assert found.error["type"] == NOT_HAPPENED


async def test_the_same_may_be_asked_again(bank: Bank, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, bank.app)
    for _ in range(2):
        probe = await owner.call(bank.move, 1, step="never", probe=True)
        error = (await owner.outcome(probe)).error
        assert error is not None
        assert (error["type"], error.get("unknown")) == (NOT_HAPPENED, None)
    assert (len(bank.looked), bank.moved) == (2, [])


async def test_a_probe_that_cannot_tell_leaves_it_unknown(bank: Bank, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, bank.app)
    closed = (await owner.outcome(await owner.call(bank.move, 101, probe=True))).error
    assert closed is not None
    assert (closed["message"], closed["unknown"]) == ("the bank is closed", True)
    wrong = (await owner.outcome(await owner.call(bank.shift, 1, probe=True))).error
    assert wrong is not None
    assert "not Happened(result) or NotHappened()" in wrong["message"]
    assert wrong["unknown"] is True


async def test_an_unsafe_thread_is_waited_for_beyond_its_timeout_and_told_of_late(
    bank: Bank, owner: Owner, serving: Serving, eventually: Any
) -> None:
    await serving(service.serve, bank.app)
    handed_back = metrics.executions.labels(kind="tool", outcome="handed_back")._value
    before = handed_back.get()
    item = await owner.call(bank.haul, 1, timeout=0.1)
    assert await asyncio.to_thread(bank.hauling.wait, 20)
    probe = await owner.call(bank.haul, 1, step=item.step, probe=True)
    await eventually(lambda: handed_back.get() >= before + 2)  # a quarter of a second apart: its timeout is over
    assert (owner.outcomes, bank.looked) == ([], [])
    bank.may_end.set()
    late = await owner.outcome(item)
    assert (late.value, late.error) == ("hauled", None)
    assert (await owner.outcome(probe)).value == "hauled", "it is told again to whoever asks"
    assert bank.looked == []


async def test_each_execution_is_written_down_as_it_begins_and_no_probe_is(
    bank: Bank, owner: Owner, serving: Serving, tmp_path: Path
) -> None:
    path = tmp_path / "executions.jsonl"
    await serving(service.serve, bank.app, executions_log=path)
    first = await owner.call(bank.move, 1)
    await owner.outcome(first)
    await owner.outcome(await owner.call(bank.move, 1, probe=True))
    second = await owner.call(bank.move, 1, attempt=2)
    await owner.outcome(second)
    begun = [(line.key, line.attempt) for line in read_ledger(path)]
    assert begun == [(first.idempotency_key, 1), (second.idempotency_key, 2)]
