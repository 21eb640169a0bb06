"""A tool worker that does nothing by itself, for tests of what its owner answers and does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from integration.agents.conftest import Exchange
from trunkline.bus.consume import Consumer, Consumption, Delivery
from trunkline.domain.codec import dumps
from trunkline.domain.work import NOT_BEGUN, Outcome, PermitAnswer, PermitRequest, WorkItem
from trunkline_workers.agent import permits, watching


@dataclass
class Hands:
    """A tool worker that does nothing by itself: it holds the items that came, and asks and answers when told."""

    exchange: Exchange
    items: asyncio.Queue[WorkItem] = field(default_factory=asyncio.Queue)

    async def item(self) -> WorkItem:
        return await asyncio.wait_for(self.items.get(), 10)

    async def ask(self, item: WorkItem, execution: str, *, attempt: int = 0, within: float = 5.0) -> PermitAnswer:
        request = PermitRequest(
            tenant=item.tenant, instance=item.instance, agent=item.agent, run=item.run, step=item.step,
            attempt=attempt or item.attempt, epoch=item.epoch, worker="hands", execution=execution,
        )  # fmt: skip
        bus = self.exchange.bus
        answer = await bus.request(bus.subjects.permit(item.tenant, item.agent), dumps(request), within)
        return PermitAnswer.model_validate_json(answer)

    async def did_not_begin(self, item: WorkItem, execution: str) -> None:
        error: dict[str, object] = {"type": NOT_BEGUN, "message": "it did not begin", "retryable": False}
        await self.answer(item.model_copy(update={"probe": True}), error=error, execution=execution)

    async def answer(
        self, item: WorkItem, value: object = None, error: dict[str, object] | None = None, execution: str = ""
    ) -> None:
        outcome = Outcome(
            tenant=item.tenant, instance=item.instance, agent=item.agent, run=item.run, step=item.step,
            attempt=item.attempt, worker="hands", execution=execution, effect=item.effect, probe=item.probe,
            value=value, error=error,
        )  # fmt: skip
        await self.exchange.bus.publish(item.reply, dumps(outcome))


@pytest.fixture
async def hands(exchange: Exchange) -> AsyncIterator[Hands]:
    hands = Hands(exchange)
    consumptions: list[Consumption] = []

    def take(delivery: Delivery) -> None:
        hands.items.put_nowait(WorkItem.model_validate_json(delivery.data))
        delivery.ack()

    for tool in ("wire", "look_up", "transfer", "ask_rarely"):
        subject = exchange.bus.subjects.tool("default", "agents_under_test", tool)
        consumer = Consumer("WORK", f"hands-{tool}", subject, 30.0)
        consumptions.append(await exchange.bus.consume(consumer, take, capacity=16))
    yield hands
    for consumption in consumptions:
        await consumption.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits, "BEGIN_WITHIN", 0.1)
    monkeypatch.setattr(watching, "GRACE", 0.1)
