"""Deaths at fault points, one after the other, in one exchange that goes on all the while.

For each case the victims start beside healthy processes, work comes in until each has died where it was told to, and
then everything that was accepted must come to its right end, with every promise kept.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx2

from chaos.chaos_app import expected
from chaos.exchange import Exchange, nothing_is_wrong, servers
from chaos.repair import repaired
from trunkline.domain.ids import instance_id, new_id
from trunkline.domain.work import Outcome
from trunkline.store import workers

HEALTHY = ("gateway", "supervisor", "agents.1", "tools.1", "llm.1")
EXTRA = "agents.extra"
AGES = 3650  # days: nothing of an exchange is that old, unless it is said to be
BATCH = 6  # orders that come in at once
PER_BATCH = 0.5  # seconds between two batches, while a victim has not died


@dataclass(frozen=True)
class Site:
    """A fault point in a kind of process; ``times`` is how often it is reached before it acts."""

    point: str
    kind: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.kind}:{self.point}@{self.times}"


AGENTS = [
    "event-received", "mailbox-committed", "event-acknowledged", "wake-received", "wake-acknowledged", "lease-taken",
    "journal-read", "lease-released", "commit-begun", "commit-sent", "step-scheduled", "item-published",
    "run-completed", "permit-asked", "permit-recorded", "outcome-received", "outcome-recorded", "outcome-posted",
]  # fmt: skip
HANDS = ["item-received", "permit-received", "executed", "outcome-published", "item-acknowledged"]
SUPERVISOR = [
    "worker-declared-dead", "instances-reclaimed", "schedule-accepted", "schedules-fired", "timers-fired",
    "replies-posted", "dead-letter-kept", "journal-shortened", "bonds-settled",
]  # fmt: skip
SITES = [
    *(Site(point, "agents") for point in AGENTS),
    *(Site(point, kind) for kind in ("tools", "llm") for point in HANDS),
    *(Site(point, "supervisor") for point in SUPERVISOR),
    Site("mailbox-committed", "gateway"),
    Site("instance-erased", "gateway"),
]


def together() -> list[list[Site]]:
    """All sites, several at a time; no two of a kind that there is one of."""
    alone = [site for site in SITES if site.kind in ("supervisor", "gateway")]
    ordered = [*alone, *(site for site in SITES if site not in alone)]
    return [ordered[first :: len(alone)] for first in range(len(alone))]


def seeded_pairs(seed: int, count: int) -> list[tuple[Site, Site]]:
    """Two deaths that overlap: any two sites, each at one of the first times that it is reached."""
    choose = random.Random(seed)
    pairs = choose.sample(list(itertools.combinations(SITES, 2)), count)
    return [(_at(choose, one), _at(choose, other)) for one, other in pairs if one.kind != "supervisor" != other.kind]


def _at(choose: random.Random, site: Site) -> Site:
    return Site(site.point, site.kind, choose.randint(1, 4) if site.point not in RARE else 1)


class Sweep:
    """One exchange, and the numbers of the orders that it has got so far."""

    def __init__(self, running: Exchange) -> None:
        self.running = running
        self._next = 1
        self._victims = itertools.count(1)

    async def through(self, *sites: Site, action: str = "crash") -> None:
        """The victims die (or fail, or are slow) at ``sites``; afterwards nothing is wrong."""
        first = self._next
        names = [await self._start(site, action) for site in sites]
        victims = {name: self.running.processes[name] for name in names}
        await self.running.joined(*names, mortal=True)
        provoking = [
            asyncio.create_task(_provoke(self.running, site, name)) for site, name in zip(sites, names, strict=True)
        ]
        try:
            await self._work_comes(victims if action == "crash" else {}, ", ".join(map(str, sites)))
        finally:
            for task in provoking:
                task.cancel()
            provoked = await asyncio.gather(*provoking, return_exceptions=True)
        for error in provoked:
            if isinstance(error, Exception):
                raise error
        await self._recover(names)
        await self.running.until(lambda: self._done(first), f"all orders are done after {', '.join(map(str, sites))}")
        await nothing_is_wrong(self.running, range(1, self._next), expected)
        assert await self.running.ask(_NOT_ONCE) == [], "each occurrence of a schedule is one run"

    async def _start(self, site: Site, action: str) -> str:
        name = site.kind if site.kind in ("supervisor", "gateway") else f"{site.kind}.v{next(self._victims)}"
        if name in self.running.processes:
            self.running.kill(name)  # there is one of it, and now it is the victim
        retention = {"retention_days": AGES, "retention_every": 0.5} if site.point == "journal-shortened" else {}
        self.running.start(name, fault=f"{site.point}={action}@{site.times}", **retention)
        return name

    async def _work_comes(self, victims: Mapping[str, subprocess.Popen[bytes]], what: str) -> None:
        """Orders, batch after batch, until all victims have died; at least two batches."""
        for batch in itertools.count(1):
            await self._batch()
            died = {name: process.poll() for name, process in victims.items()}
            told = f"{died} of {what}\n{self.running.logs()}"
            assert all(status in (None, -signal.SIGKILL) for status in died.values()), f"it ended otherwise: {told}"
            if batch >= 2 and None not in died.values():
                return
            assert batch < MOST_BATCHES, f"they did not come to where they die: {told}"
            await asyncio.sleep(PER_BATCH if batch < MANY_BATCHES else 2 * PER_BATCH)

    async def _batch(self) -> None:
        """Half of the orders come as events, half by HTTP; whoever waits for "go" gets it."""
        numbers = range(self._next, self._next + BATCH)
        self._next, half = numbers.stop, BATCH // 2
        starts = [
            (f"/v1/agents/orders/instances/{number}/runs", {"input": {"number": number}}, f"start {number}")
            for number in numbers[half:]
        ]
        goes = [(f"/v1/agents/orders/instances/{number}/signals/go", "on", f"go {number}") for number in numbers]
        posting = asyncio.create_task(self.running.post([*starts, *goes]))
        try:
            await self.running.publish(numbers[:half])
            while not posting.done():
                await asyncio.wait({posting}, timeout=PER_BATCH)
                self._revive()
            await posting
        finally:
            posting.cancel()

    def _revive(self) -> None:
        """What there is one of comes back when it has died. A gateway that fails whoever asks is replaced."""
        if self.running.repeated["failed"] >= ENOUGH_FAILED:
            self.running.repeated["failed"] = 0
            self.running.kill("gateway")
        for name in ("gateway", "supervisor"):
            if name not in self.running.processes or self.running.processes[name].poll() is not None:
                self.running.start(name)

    async def _recover(self, names: Sequence[str]) -> None:
        """Victims that live are ended, and what there must be one of comes back."""
        for name in {*names, EXTRA} & self.running.processes.keys():
            self.running.kill(name)
        for name in ("gateway", "supervisor"):
            if name not in self.running.processes:
                self.running.start(name)

    async def _done(self, first: int) -> bool:
        await repaired(self.running)
        rows = await self.running.ask(
            "select count(*) from runs where agent = 'orders' and key::int >= %s and status = 'completed'", first
        )
        ticking = await self.running.ask(_TO_COME)
        return rows == [(self._next - first,)] and ticking == [(0, 0)]


MANY_BATCHES, MOST_BATCHES = 10, 40
ENOUGH_FAILED = 10  # requests


@asynccontextmanager
async def sweep() -> AsyncIterator[Sweep]:
    """An exchange with one healthy process of each kind."""
    async with servers() as running:
        for name in HEALTHY:
            running.start(name)
        await running.joined(*HEALTHY)
        yield Sweep(running)


# --- what makes a process come to a point that is rarely reached ----------------------------------------------------


async def _provoke(running: Exchange, site: Site, name: str) -> None:
    provoke = RARE.get(site.point)
    if provoke is not None:
        await provoke(running, name)


async def _drain(running: Exchange, name: str) -> None:
    """Asked to end, an agent worker gives its leases back."""
    await asyncio.sleep(1.0)
    running.processes[name].terminate()


async def _somebody_dies(running: Exchange, _: str) -> None:
    """An agent worker dies with work in its hands."""
    running.start(EXTRA, fault="outcome-received=delay:30")
    await running.joined(EXTRA)

    async def holds_work() -> bool:
        pid = running.processes[EXTRA].pid
        return any(one.pid == pid and one.held for one in await workers.list_workers(running.db))

    await running.until(holds_work, "it holds work")
    await asyncio.sleep(1.0)  # outcomes come, and lie on its subject
    running.kill(EXTRA)


async def _a_misled_outcome(running: Exchange, name: str) -> None:
    """An outcome comes to a worker that does not hold its instance: the answer to a step that has ended."""
    reply = f"tl.default.reply.{await running.worker_of(name)}"
    async with running.nats() as client:
        while True:
            for instance, run, step in await running.ask(_ENDED_STEP):
                outcome = Outcome(tenant="default", instance=instance, agent="orders", run=run, step=step, attempt=1)
                await client.jetstream().publish(reply, outcome.model_dump_json().encode())
            await asyncio.sleep(0.5)


async def _no_wake(running: Exchange, _: str) -> None:
    """Something that is no wake: it is terminated, and JetStream tells of it."""
    async with running.nats() as client:
        await client.jetstream().publish("tl.default.inbox.orders", b"not a wake")


async def _something_ancient(running: Exchange, _: str) -> None:
    """A run that ended when nobody was there, with a journal of its own."""
    instance, run = instance_id("default", "waiter", new_id()), new_id()
    await running.ask(_ANCIENT_INSTANCE, instance, instance)
    await running.ask(_ANCIENT_ENTRIES, instance, run, instance, run)
    await running.ask(_ANCIENT_RUN, run, instance, instance)


async def _an_erasure(running: Exchange, _: str) -> None:
    """Somebody wants an instance with an open run erased, until it is done."""
    key = new_id()
    place = f"/v1/agents/waiter/instances/{key}"
    await running.post([(f"{place}/runs", {"input": 1}, f"erased {key}")])
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=5) as client:
        while True:
            with suppress(httpx2.HTTPError):
                if (await client.delete(place)).status_code == 200:
                    return
            await asyncio.sleep(0.2)


_ANCIENT_INSTANCE = """
insert into instances (id, tenant, agent, key, head, epoch) values (%s, 'default', 'waiter', %s, 2, 1) returning 1
"""
_ANCIENT_ENTRIES = """
insert into journal (instance, version, run, type, body, epoch, writer) values
    (%s, 1, %s, 'RunStarted', '{"input": 1, "at": 1.0, "seed": "s", "message_id": "m"}', 1, 0),
    (%s, 2, %s, 'RunCompleted', '{"output": 1}', 1, 0)
returning 1
"""
_ANCIENT_RUN = """
insert into runs (id, tenant, instance, agent, key, status, first_version, last_version, created_at, ended_at)
values (%s, 'default', %s, 'waiter', %s, 'completed', 1, 2, '2001-01-01', '2001-01-01') returning 1
"""


async def _schedules_are_due(running: Exchange, _: str) -> None:
    """New schedules, each of which is due once, and soon."""
    while True:
        await running.ask(_SCHEDULES)
        await asyncio.sleep(0.5)


_SCHEDULES = """
insert into schedules (tenant, agent, name, app, spec, digest, due_at)
select 'default', 'ticker', name, 'chaos',
       json_build_object('name', name, 'kind', 'at', 'at', extract(epoch from due), 'missed', 'all'), '', due
from (select gen_random_uuid()::text as name, clock_timestamp() + n * interval '0.1 second' as due
      from generate_series(1, 4) as n) as s
returning name
"""
_TO_COME = """
select (select count(*) from schedules where due_at is not null),
       (select count(*) from runs where agent = 'ticker' and status <> 'completed')
"""
_NOT_ONCE = """
select s.name, s.trouble, count(r.id) from schedules s
left join runs r on r.agent = s.agent and r.key = s.name group by s.name, s.trouble having count(r.id) <> 1
"""
_ENDED_STEP = """
select j.instance::text, j.run::text, j.body->>'key' from journal j join runs r on r.id = j.run
where r.agent = 'orders' and r.status = 'completed' and j.type = 'StepCompleted' limit 5
"""
RARE: dict[str, Callable[[Exchange, str], Awaitable[None]]] = {
    "lease-released": _drain,
    "outcome-posted": _a_misled_outcome,
    "worker-declared-dead": _somebody_dies,
    "instances-reclaimed": _somebody_dies,
    "replies-posted": _somebody_dies,
    "schedule-accepted": _schedules_are_due,
    "schedules-fired": _schedules_are_due,
    "dead-letter-kept": _no_wake,
    "journal-shortened": _something_ancient,
    "instance-erased": _an_erasure,
}
