"""A campaign as it goes: an exchange comes up, the load begins, strike follows strike, and all is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from trunkline.chaos.asking import ask
from trunkline.chaos.campaign import Campaign, Narrator
from trunkline.chaos.counting import count
from trunkline.chaos.exchange import Exchange, running
from trunkline.chaos.hands import Hands
from trunkline.chaos.load import Load
from trunkline.chaos.model import stand_in
from trunkline.chaos.plan import Action, Slot
from trunkline.chaos.report import Hit, Report
from trunkline.chaos.standing import Standing, judge, open_runs
from trunkline.chaos.striking import Striker, Struck
from trunkline.domain.errors import TrunklineError
from trunkline.embedded.serving import servers
from trunkline.embedded.stack import Stack
from trunkline.observe.ledger import read_ledger
from trunkline.settings import Settings
from trunkline.store.database import Database

SLOT = 3.0  # seconds of a slot at most; a strike whose work takes longer to go on prolongs its own
SHARE = 0.6  # of the time that is left after the start goes to the slots, the rest to what is still under way
LOOK_EVERY = 0.2  # seconds between two looks whether all is quiet
COUNT_EVERY = 1.0
ZOMBIES_WITHIN = 25.0  # seconds in which a worker that was declared dead must have ended by itself

_STATUSES = "select status, count(*) from runs where tenant = %s and parent_run is null group by status"


class NotUp(TrunklineError):
    """The exchange did not come up within {seconds:g} s. Give it longer with --within, or see: trunkline dev {app}"""


async def carry_out(campaign: Campaign, narrator: Narrator) -> Report:
    """The whole of it.

    Raises:
        NotUp, NotUnderstood, Unavailable: the exchange did not come up.
        TrunklineError: a run can never be accepted.
    """
    began = time.monotonic()
    async with AsyncExitStack() as ends:
        with _in_time(campaign):
            async with asyncio.timeout(campaign.within):
                narrator.say("starting NATS and Postgres …")
                stack = await ends.enter_async_context(servers(campaign.data))
        ledger = stack.directory / "executions.jsonl"
        fire = _Fire(campaign, narrator, began, ledger)
        await fire.burn(stack)
        return await fire.report(stack)


@contextmanager
def _in_time(campaign: Campaign) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise NotUp(seconds=campaign.within, app=campaign.spec) from None


class _Fire:
    def __init__(self, campaign: Campaign, narrator: Narrator, began: float, ledger: Path) -> None:
        self._campaign, self._narrator, self._began, self._ledger = campaign, narrator, began, ledger
        self._began_at = time.time()
        self._left_out = 0
        self._model = ""
        self._load: Load
        self._striker: Striker
        self._zombies: list[Struck] = []

    @property
    def _left(self) -> float:
        return self._began + self._campaign.within - time.monotonic()

    # --- the fire ---------------------------------------------------------------------------------------------------

    async def burn(self, stack: Stack) -> None:
        """From the start of the parts to their end."""
        campaign = self._campaign
        async with AsyncExitStack() as ends:
            with _in_time(campaign):
                async with asyncio.timeout(self._left):
                    environment = await self._environment(ends)
                    log = ends.enter_context((stack.directory / "parts.log").open("a"))
                    parts = running(
                        campaign.spec, campaign.app, stack, _writer(log), workers=campaign.workers,
                        gateway=campaign.gateway, environment=environment,
                    )  # fmt: skip
                    exchange = await ends.enter_async_context(parts)
            settings = stack.settings()
            hands = Hands(exchange.db, self._ledger)
            self._striker = Striker(exchange, hands, settings.ack_wait + settings.lease, self._tell)
            self._load = Load(exchange, campaign.orders, campaign.seed)
            self._narrator.say(f"{', '.join(exchange.children.pids)} are up; {campaign.runs} runs come in")
            await self._until_over(exchange)
            self._zombies = await self._striker.zombies(ZOMBIES_WITHIN)
            self._narrator.say("stopping, and counting …")

    async def _environment(self, ends: AsyncExitStack) -> dict[str, str]:
        environment = {"TRUNKLINE_EXECUTIONS_LOG": str(self._ledger)}
        if not any(agent.spec.kind == "llm" for agent in self._campaign.app.agents.values()):
            return environment
        if own := Settings().model_api_base:
            self._model = own
            return environment
        server = await ends.enter_async_context(stand_in(self._campaign.app))
        self._model = "stand-in"
        self._narrator.say("a stand-in answers for the model; TRUNKLINE_MODEL_API_BASE names another", "dim")
        return {**environment, "TRUNKLINE_MODEL_API_BASE": server.url}

    async def _until_over(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._left), asyncio.TaskGroup() as group:
                besides = [group.create_task(self._load.decide()), group.create_task(self._count(exchange))]
                await self._slots()
                await self._until_quiet(exchange)
                for task in besides:
                    task.cancel()
        except TimeoutError:
            self._narrator.say("the time is up", "yellow")
        await exchange.revive()
        for struck in self._striker.struck:
            await self._striker.follow(struck)

    async def _slots(self) -> None:
        share = SHARE * self._left
        until, length = time.monotonic() + share, min(SLOT, share / len(self._campaign.slots))
        for slot in self._campaign.slots:
            if time.monotonic() > until:
                self._left_out += 1
                await self._load.start(slot.runs, 0.0)
                continue
            async with asyncio.TaskGroup() as group:
                group.create_task(self._load.start(slot.runs, length))
                group.create_task(self._strike(slot, length))

    async def _strike(self, slot: Slot, length: float) -> None:
        await asyncio.sleep(slot.moment * length)
        struck = await self._striker.strike(slot.strike)
        if struck.delays:
            went_on = f"{len(struck.delays)} of {len(struck.held)} went on"
            self._narrator.say(f"{went_on}, the last after {max(struck.delays.values()):.2f} s", "green")

    async def _until_quiet(self, exchange: Exchange) -> None:
        """Nothing is at work, no timer is due before the end, and nobody has anything to decide."""
        while True:
            open_ = await open_runs(exchange.db, exchange.tenant)
            timers = any(run.due_in is not None and run.due_in < self._left for run in open_)
            if Standing.AT_WORK not in judge(open_).values() and not timers and not await self._to_decide(exchange):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _to_decide(self, exchange: Exchange) -> bool:
        if self._campaign.orders.approve is None:
            return False
        return bool(await ask(exchange.db, "select from approvals where tenant = %s limit 1", exchange.tenant))

    # --- what is told -----------------------------------------------------------------------------------------------

    def _tell(self, struck: Struck) -> None:
        signal = {Action.KILL: "kill -9", Action.PAUSE: "kill -STOP", Action.WIPE: "kill -9, and wipe,"}
        held = f"with {len(struck.held)} {'in its hands' if struck.worker else 'runs under way'}"
        self._narrator.say(f"{signal[struck.strike.action]} {struck.pid}: {struck.name}, {held}", "bold red")

    async def _count(self, exchange: Exchange) -> None:
        while True:
            counts = dict(await ask(exchange.db, _STATUSES, exchange.tenant))
            told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
            self._narrator.progress(
                f"accepted {len(self._load.accepted)} of {self._campaign.runs}; {told or 'no runs'}"
            )
            await asyncio.sleep(COUNT_EVERY)

    # --- what became of it ------------------------------------------------------------------------------------------

    async def report(self, stack: Stack) -> Report:
        """The count, once all parts have ended."""
        campaign, settings = self._campaign, stack.settings()
        begun = read_ledger(self._ledger) if self._ledger.exists() else []
        db = await Database.of(settings, size=2)
        try:
            own = not campaign.orders.event
            found = await count(db, settings.tenant, begun, self._load.runs, own_instances=own)
        finally:
            await db.close()
        undead = [f"{one.name} was declared dead while it was paused, and goes on" for one in self._zombies]
        return Report(
            app=campaign.app.name, agent=campaign.orders.agent or campaign.orders.event, runs=campaign.runs,
            accepted=len(self._load.accepted), completed=found.standing["completed"], failed=found.standing["failed"],
            cancelled=found.standing["cancelled"], parked=found.standing[Standing.PARKED],
            waiting=found.standing[Standing.WAITING], lost=found.lost, violations=found.violations + undead,
            hits=[self._hit(one) for one in self._striker.struck], repeated=found.repeated,
            seconds=time.monotonic() - self._began, model=self._model, seed=campaign.seed, left_out=self._left_out,
            first_error=found.first_error, parked_because=found.parked_because,
        )  # fmt: skip

    def _hit(self, struck: Struck) -> Hit:
        at = struck.at - self._began_at
        return Hit(str(struck.strike), struck.name, at, len(struck.held), sorted(struck.delays.values()))


def _writer(log: TextIO) -> Callable[[str, str], None]:
    """Keeps what the parts say."""

    def write(name: str, line: str) -> None:
        log.write(f"{name}: {line}\n")
        log.flush()

    return write
