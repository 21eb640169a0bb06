"""An agent worker as tool and LLM workers see it: it publishes items, answers permits, and reads outcomes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from trunkline.bus.connection import Bus, CoreMessage
from trunkline.bus.consume import Consumer, Delivery
from trunkline.domain import codec
from trunkline.domain.ids import derived_id, new_id
from trunkline.domain.work import Outcome, PermitAnswer, PermitRequest, StreamChunk, WorkItem
from trunkline.settings import Settings

PATIENCE = 30.0


class Owner:
    """``permit`` decides on requests; ``None`` leaves them without an answer."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self.bus, self.settings = bus, settings
        self.worker = new_id()
        self.run = new_id()
        self.permit: Callable[[PermitRequest], PermitAnswer | None] = lambda _: PermitAnswer(answer="go")
        self.permits: asyncio.Queue[PermitRequest] = asyncio.Queue()
        self.outcomes: list[Outcome] = []
        self.chunks: list[StreamChunk] = []
        self._arrived: dict[str, asyncio.Queue[Outcome]] = defaultdict(asyncio.Queue)

    async def start(self) -> None:
        tenant, subjects = self.settings.tenant, self.bus.subjects
        await self.bus.subscribe(subjects.permit(tenant, "orders"), self._asked)
        await self.bus.subscribe(subjects.stream(tenant, self.run), self._streamed)
        reply = Consumer(stream="REPLY", durable=f"reply-{self.worker}", subject=subjects.reply(tenant, self.worker))
        await self.bus.consume(reply, self._outcome, capacity=64)

    # --- items ------------------------------------------------------------------------------------------------------

    def item(self, kind: str, name: str, args: Any, **changes: Any) -> WorkItem:
        step = changes.pop("step", f"{kind}:{name}#{new_id()[-6:]}")
        fields = {
            "tenant": self.settings.tenant,
            "instance": derived_id("instance", "test"),
            "agent": "orders",
            "run": self.run,
            "step": step,
            "version": 2,
            "attempt": 1,
            "epoch": 1,
            "reply": self.bus.subjects.reply(self.settings.tenant, self.worker),
            "kind": kind,
            "name": name,
            "args": args,
            "idempotency_key": derived_id("step", self.run, step),
            "timeout": 60.0,
            "published_at": time.time(),
        }
        return WorkItem.model_validate(fields | changes)

    async def call(self, tool: Any, *args: Any, **changes: Any) -> WorkItem:
        """Publish a call of ``tool``."""
        fields = {"effect": tool.spec.effect, "timeout": tool.spec.timeout, **changes}
        item = self.item("tool", tool.name, fields.pop("args", None) or tool.bind(args, {}), **fields)
        await self.publish(item, self.bus.subjects.tool(item.tenant, tool.spec.app, tool.name))
        return item

    async def ask(self, args: Any, pool: str = "default", **changes: Any) -> WorkItem:
        """Publish a model call."""
        item = self.item("llm", str(args.get("model")), args, **changes)
        await self.publish(item, self.bus.subjects.llm(item.tenant, pool))
        return item

    async def publish(self, item: WorkItem, subject: str) -> None:
        await self.bus.publish(subject, codec.dumps(item))

    def cancel(self, item: WorkItem) -> None:
        self.bus.send(self.bus.subjects.cancel(item.tenant, item.run), codec.dumps({"step": item.step}))

    async def outcome(self, item: WorkItem) -> Outcome:
        """The next outcome of the item's step."""
        return await asyncio.wait_for(self._arrived[item.step].get(), PATIENCE)

    async def asked(self) -> PermitRequest:
        """The next request for a permit."""
        return await asyncio.wait_for(self.permits.get(), PATIENCE)

    async def work_left(self) -> int:
        """Messages on WORK: 0 when every item is acknowledged."""
        stream = self.bus.subjects.stream_name("WORK")
        info = codec.loads(await self.bus.request(f"$JS.API.STREAM.INFO.{stream}", b"", 5.0))
        return int(info["state"]["messages"])

    async def waits_for(self, tool: Any) -> bool:
        """Whether all items of ``tool`` are acknowledged, and a worker has asked for more."""
        stream = self.bus.subjects.stream_name("WORK")
        listed = codec.loads(await self.bus.request(f"$JS.API.CONSUMER.LIST.{stream}", b"", 5.0))["consumers"]
        [reader] = [one for one in listed if one["name"].endswith(f"={tool.name}")]
        return not reader["num_ack_pending"] and not reader["num_pending"] and bool(reader["num_waiting"])

    # --- what comes -------------------------------------------------------------------------------------------------

    async def _asked(self, message: CoreMessage) -> bytes | None:
        request = PermitRequest.model_validate(codec.loads(message.data))
        answer = self.permit(request)
        self.permits.put_nowait(request)
        return None if answer is None else codec.dumps(answer)

    async def _streamed(self, message: CoreMessage) -> None:
        self.chunks.append(StreamChunk.model_validate(codec.loads(message.data)))

    def _outcome(self, delivery: Delivery) -> None:
        for outcome in Outcome.read_all(delivery.data):
            self.outcomes.append(outcome)
            self._arrived[outcome.step].put_nowait(outcome)
        delivery.ack()
