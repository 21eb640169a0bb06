"""How an app is tested: its handlers alone in milliseconds, and the whole of it on a real exchange."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from support_desk import app as desk
from support_desk.app import OrderPlaced, Verdict, app, orders
from support_desk.ledger import Ledger
from trunkline import RunFailedError, testing
from trunkline.testing import ExchangeFactory, ProviderError, ToolCall

ORDER = OrderPlaced(order_id="o-1", customer="ann", sku="kettle", cents=500)
FAKES: dict[str, Any] = {"check_stock": 3, "score_risk": 0.5, "order_history": ["it was lost"], "refund": "done"}
LOOKS_UP = ToolCall("order_history", {"order_id": "o-1"})
HALF = Verdict(reason="the carrier lost it", refund_cents=250)
NOTHING = Verdict(reason="it has arrived", refund_cents=0)


class Bank(Ledger):
    """The bank, which says when it is first asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.heard = threading.Event()

    def refund(self, key: str, order_id: str, cents: int) -> str:
        self.heard.set()
        return super().refund(key, order_id, cents)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    bank = Bank(tmp_path / "ledger.sqlite")
    monkeypatch.setattr(desk, "bank", bank)
    return bank


# --- the handlers alone ---------------------------------------------------------------------------------------------


async def test_money_goes_back_once_and_an_event_says_so() -> None:
    outcome = await testing.run(orders, ORDER, tools=FAKES, model=[LOOKS_UP, HALF], crashes=True)
    assert outcome.output == HALF
    outcome.journal.completed("refund", times=1, args={"order_id": "o-1", "cents": 250})
    outcome.journal.in_order("check_stock", "order_history", "refund", "order.triaged")
    assert [event.data["refund_cents"] for event in outcome.emitted] == [250]


async def test_nobody_is_paid_for_nothing() -> None:
    outcome = await testing.run(orders, ORDER, tools=FAKES, model=[NOTHING])
    assert outcome.output == NOTHING
    outcome.journal.never("refund")


async def test_a_bank_that_is_away_is_asked_again_and_then_the_run_fails() -> None:
    fakes = {**FAKES, "refund": ConnectionError("the bank is away")}
    outcome = await testing.run(orders, ORDER, tools=fakes, model=[HALF])
    with pytest.raises(RunFailedError, match="the bank is away"):
        _ = outcome.output
    [refund] = outcome.journal.failed("refund", times=1)
    assert refund.attempts == 4
    outcome.journal.never("order.triaged")


async def test_a_model_that_stumbles_is_asked_again() -> None:
    outcome = await testing.run(orders, ORDER, tools=FAKES, model=[ProviderError(503), "not a verdict", HALF])
    assert outcome.output == HALF


# --- the whole ------------------------------------------------------------------------------------------------------


async def test_an_order_comes_in_as_an_event(exchange: ExchangeFactory, bank: Bank) -> None:
    async with exchange(app, model=[LOOKS_UP, HALF]) as tl:
        [run] = await tl.publish("order.placed", ORDER)
        assert Verdict.model_validate(await tl.run(run).result()) == HALF
        journal = await tl.journal(run)
    journal.completed("refund", times=1, args={"cents": 250})
    assert journal.model_calls == 2
    assert (bank.asked(), bank.refunded()) == (1, 1)


async def test_a_worker_that_dies_while_it_pays_pays_nobody_twice(exchange: ExchangeFactory, bank: Bank) -> None:
    async with exchange(app, model=[LOOKS_UP, HALF]) as tl:
        [run] = await tl.publish("order.placed", ORDER)
        assert await asyncio.to_thread(bank.heard.wait, 10)
        await tl.crash("tools")
        await tl.run(run).result()
        (await tl.journal(run)).completed("refund", times=1)
    assert (bank.asked(), bank.refunded(), bank.refunded_twice()) == (2, 1, 0)


async def test_the_stock_is_taken_every_five_seconds(exchange: ExchangeFactory) -> None:
    async with exchange(app, tools={"check_stock": 7}) as tl:
        await tl.skip("15s")
        taken = (await tl.runs(agent="stockroom"))["items"]
    statuses = [run["status"] for run in taken]
    assert len(statuses) >= 3, "the test's own seconds count, too"
    assert set(statuses) == {"completed"}
