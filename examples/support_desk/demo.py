"""The support desk under fire: real processes, real events, three workers killed with SIGKILL, and a count at the end.

Run it with ``make demo`` or ``trunkline demo``. Exit status 0 only if every number is right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until ``main`` begins there is nothing to stop, and nothing to say
    sys.path.insert(0, str(Path(__file__).parents[1]))

import nats

from support_desk.facts import Facts, Killed
from support_desk.ledger import Ledger
from support_desk.model import real_model, scripted
from support_desk.show import Timeline
from trunkline.embedded.children import Children
from trunkline.embedded.serving import servers
from trunkline.embedded.stack import Stack
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.testing.openai_server import OpenAIServer

APP = str(Path(__file__).with_name("app.py"))
PARTS = {
    "gateway": ("gateway", "--port", "0"),
    "supervisor": ("supervisor",),
    "agents.1": ("worker", "agents", APP),
    "agents.2": ("worker", "agents", APP),
    "tools.1": ("worker", "tools", APP),
    "tools.2": ("worker", "tools", APP),
    "llm.1": ("worker", "llm", APP),
    "llm.2": ("worker", "llm", APP),  # so that somebody is there when the other is killed
    "sensors": ("sensors", APP),
}
PACE = 0.15  # seconds between two orders
SETTLED = 0.2  # seconds after which Postgres has committed or dropped what a killed process sent last
WITHIN = 55.0  # seconds that the whole may take


class Demo:
    """One showing."""

    def __init__(self, orders: int, stack: Stack, model: OpenAIServer | None, timeline: Timeline) -> None:
        self._orders, self._stack, self._model, self._timeline = orders, stack, model, timeline
        self._ledger = Ledger(stack.directory / "ledger.sqlite")
        self._published = 0
        self.kills: list[Killed] = []

    async def run(self) -> dict[str, tuple[Any, Any]]:
        """Everything; returns each number with what it must be (``None``: it is only told)."""
        async with AsyncExitStack() as stack:
            children = await stack.enter_async_context(Children(self._environment(), lambda *_: None, patience=3.0))
            for name, arguments in PARTS.items():
                children.add(name, *arguments)
            self._db = await Database.open(self._stack.postgres.url, size=2, wait=30)
            stack.push_async_callback(self._db.close)
            self._facts = Facts(self._db)
            await self._all_joined()
            publishing, counting = asyncio.create_task(self._publish()), asyncio.create_task(self._count())
            stack.callback(publishing.cancel)
            stack.callback(counting.cancel)
            for share, kind in ((0.2, "agents"), (0.45, "tools"), (0.7, "llm")):
                await self._until_accepted(int(share * self._orders))
                await self._kill(children, kind)
            await publishing
            await self._until_completed()
            counting.cancel()
            return await self._report()

    # --- what happens -----------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        chosen = {"model": real_model() or "openai/gpt-5-mini"}
        if self._model is not None:
            chosen["model_api_base"] = self._model.url
        environment = self._stack.environment(log_level="warning", metrics_port=0, **chosen)
        return {**environment, "SUPPORT_DESK_LEDGER": str(self._stack.directory / "ledger.sqlite")}

    async def _all_joined(self) -> None:
        wanted = sum(name.partition(".")[0] in ("agents", "tools", "llm") for name in PARTS)
        while len(await self._workers("agents", "tools", "llm")) < wanted:  # noqa: ASYNC110 - processes, no events
            await asyncio.sleep(0.1)
        self._timeline.say(f"{len(PARTS)} processes are up: {', '.join(PARTS)}")

    async def _publish(self) -> None:
        """What any NATS client can do: JSON to a subject, and wait until JetStream has it."""
        client = await nats.connect(self._stack.nats.url)
        try:
            for number in range(1, self._orders + 1):
                event = order_placed(number)
                await client.jetstream().publish("tl.default.event.order.placed", json.dumps(event).encode())
                self._published = number
                if number == 1:
                    self._timeline.say(f"event {event['type']} {json.dumps(event['data'])}", "event")
                await asyncio.sleep(PACE)
        finally:
            await client.close()

    async def _count(self) -> None:
        """A line a second; and when the first order is done, its journal."""
        shown = False
        while True:
            progress = await self._facts.progress()
            self._timeline.count(progress, self._published)
            if progress.completed and not shown:
                shown = True
                self._timeline.say("the journal of the first order:", "event")
                self._timeline.journal(await self._facts.journal_of("orders", "o-001"))
            await asyncio.sleep(1)

    async def _kill(self, children: Children, kind: str) -> None:
        """Kill the worker of this kind that holds most, once it holds something."""
        waits: dict[str, int] = {}
        while not waits:
            victim = max(await self._workers(kind), key=lambda worker: worker.held)
            waits = await self._facts.in_hands(kind, victim.worker) if victim.held else {}
            await asyncio.sleep(0.02)
        name = next(name for name, pid in children.pids.items() if pid == victim.pid)
        children.kill(name)
        at = await self._facts.now()
        await asyncio.sleep(SETTLED)
        waits = await self._facts.in_hands(kind, victim.worker)  # less what it finished in its last moment
        held = len(waits) if kind == "agents" else min(victim.held, len(waits))
        self.kills.append(Killed(kind, held, at, waits))
        self._timeline.say(f"kill -9 {victim.pid}: {name} is gone, with {held} in its hands", "kill")

    async def _until_accepted(self, orders: int) -> None:
        while (await self._facts.progress()).accepted < orders:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _until_completed(self) -> None:
        while (await self._facts.progress()).completed < self._orders:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        self._timeline.say("all orders are done", "again")

    async def _workers(self, *kinds: str) -> list[workers.Worker]:
        found = await workers.list_workers(self._db)
        return [one for one in found if one.kind in kinds and one.dead_at is None and one.left_at is None]

    # --- what became of it ------------------------------------------------------------------------------------------

    async def _report(self) -> dict[str, tuple[Any, Any]]:
        progress = await self._facts.progress()
        missing, recorded, unrecorded = await self._facts.model_calls(self._model)
        for kill in self.kills:
            await self._facts.look_after(kill)
        return {
            "orders accepted": (progress.accepted, self._orders),
            "orders completed": (progress.completed, self._orders),
            "customers refunded": (self._ledger.refunded(), self._orders if self._model else None),
            "customers refunded twice": (self._ledger.refunded_twice(), 0),
            **({} if missing is None else {"model calls made and not recorded": (missing, 0)}),
            "recorded model calls repeated": (recorded, 0),
            "unrecorded model calls repeated": (unrecorded, None),
            "attempts repeated after a death": (progress.repeated_attempts, None),
            "refunds asked of the bank": (self._ledger.asked(), None),
            "killed workers whose work went on": (sum(bool(kill.delays) for kill in self.kills), len(self.kills)),
            "work of the killed that was lost": (sum(kill.lost for kill in self.kills), 0),
        }


def order_placed(number: int) -> dict[str, Any]:
    """A CloudEvent (https://github.com/cloudevents/spec/blob/v1.0.2) about an order."""
    order = {"order_id": f"o-{number:03}", "customer": f"c-{number % 17}", "sku": "kettle", "cents": 100 * number}
    return {"specversion": "1.0", "id": str(number), "source": "shop", "type": "order.placed", "data": order}


async def show(orders: int, within: float, *, as_json: bool) -> int:
    """The whole showing; the exit status."""
    timeline = Timeline(quiet=as_json)
    async with AsyncExitStack() as stack:
        model = None if real_model() else await stack.enter_async_context(scripted())
        if model is None:
            timeline.say(f"the model is {real_model()}; its repeated calls are counted in the journal alone")
        else:
            timeline.say(f"the model is scripted, on {model.url}; TRUNKLINE_MODEL or a provider's key chooses another")
        timeline.say("starting NATS and Postgres, embedded …")
        demo = Demo(orders, await stack.enter_async_context(servers()), model, timeline)
        try:
            async with asyncio.timeout(within):
                report = await demo.run()
        except TimeoutError:
            sys.stderr.write(
                f"The demo did not end within {within:g} s: the machine is too busy, or something hangs.\n"
            )
            return 1
    timeline.table(report, demo.kills)
    right = all(must is None or is_ == must for is_, must in report.values())
    if as_json:
        recoveries = {kill.what: [round(delay, 3) for delay in kill.delays] for kill in demo.kills}
        print(json.dumps({"numbers": {name: is_ for name, (is_, _) in report.items()}, "recovery_s": recoveries}))
    timeline.say("every number is right" if right else "a number is wrong", "again" if right else "kill")
    return 0 if right else 1


def main() -> int:
    """Arguments, and Ctrl-C."""
    parser = argparse.ArgumentParser(prog="trunkline demo", description="Run the support desk, kill workers, count.")
    parser.add_argument("--orders", type=int, default=60, help="how many orders come in (10 or more)")
    parser.add_argument("--within", type=float, default=WITHIN, help="how many seconds it may take")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON, and nothing else")
    given = parser.parse_args()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    try:
        return asyncio.run(show(max(given.orders, 10), given.within, as_json=given.json))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
