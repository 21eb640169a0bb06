"""The instances that this worker holds: a wake becomes a lease, a lease an activation, and an idle one is let go.

Everything that touches Postgres goes in batches: what was woken while the last batch was under way is the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from trunkline.authoring.agent import Agent
from trunkline.authoring.instance import version_of
from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.errors import Fenced, JournalCorrupt
from trunkline.domain.ids import is_id
from trunkline.domain.journal import RunStarted
from trunkline.domain.work import Wake
from trunkline.observe import faults, logs, memory, metrics
from trunkline.store import history, leases, mailbox, pauses, runs
from trunkline.store.database import Database, Unreachable
from trunkline.store.history import History
from trunkline.store.leases import Held, Lease
from trunkline_workers.agent import legacy, loading, parking, watching
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.colleagues import GoesElsewhere, Unreadable
from trunkline_workers.agent.legacy import NOTHING, Legacy
from trunkline_workers.agent.office import Office
from trunkline_workers.agent.reading import Reading
from trunkline_workers.agent.sleepers import AT_ONCE, Shortage, Sleepers

log = logs.get("registry")

BATCH = 256
MOST_WANTED = 2048  # instances that wait for their lease; further wakes stay on the bus meanwhile
ENOUGH = 2 * BATCH  # … at which whoever brings more of them is to give way
SWEEP = 0.25  # seconds
SOON = 0.01  # seconds until it is looked again whether those that are here leave time for others
LOCKED = 0.05  # seconds from a lease that could not be taken, as its row was locked, to the next try
AGAIN_AFTER = 1.0  # seconds from a turn that could not be recorded to the next try


class Registry:
    """``look`` is the one way in; ``find`` gives what is in memory."""

    def __init__(self, db: Database, bus: Bus, office: Office, agents: Mapping[str, Agent[Any, Any]]) -> None:
        self._db, self._bus, self._office, self._agents = db, bus, office, agents
        self._held: dict[str, Activation] = {}
        self._wanted: dict[str, Wake] = {}
        self._stirred: set[str] = set()
        self._fetching: set[str] = set()  # whose mail is being read
        self._left: dict[str, Legacy] = {}  # by dropped activations, until their instances are looked at again
        self._leaving: dict[str, tuple[Lease, GoesElsewhere | Unreadable]] = {}
        self._reading = Reading()
        office.unread = self._reading.put
        self._sleepers = Sleepers(self._held, (self._stirred, self._fetching), office.settings)
        self._shortage = Shortage(office.settings.memory_limit or memory.available() // 2)
        self._strained = False  # memory is short, and that was said
        self._held_off = False  # those that are here are to get on first
        self._crowded = False  # as many instances are at work as fit, and none of them sleeps
        self._lost = self._lose  # one for all activations
        self._work = asyncio.Event()
        self._occupied = asyncio.Event()  # instances are here, or were at the last sweep
        self._tasks: list[asyncio.Task[None]] = []
        self.closed = False

    def start(self) -> list[asyncio.Task[None]]:
        """Begin. The tasks end with ``stop``, else only by a fault: then the worker is deaf, and must end."""
        self._tasks = [
            asyncio.create_task(self._serve(), name="registry"),
            asyncio.create_task(self._sweep(), name="registry's sweep"),
            asyncio.create_task(self._reading.run(), name="registry's reading"),
        ]
        return self._tasks

    def look(self, wake: Wake) -> None:
        """Look at this instance: read its mail if it is here, else try for its lease."""
        if self.closed or wake.agent not in self._agents or not is_id(wake.instance):
            return
        if wake.instance in self._held and wake.anew:
            self._held[wake.instance].leave(None)  # which looks again
        elif wake.instance in self._held:
            self._stirred.add(wake.instance)
        else:
            self._wanted[wake.instance] = wake
        self._work.set()

    def find(self, instance: str) -> Activation | None:
        return self._held.get(instance)

    @property
    def empty(self) -> bool:
        """Whether no instance is here."""
        return not self._held

    @property
    def full(self) -> bool:
        """Whether wakes for further instances are to go to others, or to wait."""
        return self._crowded or len(self._wanted) >= MOST_WANTED

    @property
    def behind(self) -> bool:
        """Whether there is enough to be taken up for now. Those that wait for their paused agent do not count."""
        if self._crowded or len(self._wanted) < ENOUGH:
            return self._crowded
        return sum(wake.agent not in self._office.pauses for wake in self._wanted.values()) >= ENOUGH

    def every(self, act: Callable[[Activation], None]) -> None:
        """Do something to every activation."""
        for activation in list(self._held.values()):
            act(activation)

    async def drain(self) -> None:
        """Let local steps and commits end, for at most ``settings.drain`` seconds; then give everything back."""
        self.closed = True
        self._reading.close()
        deadline = asyncio.get_running_loop().time() + self._office.settings.drain
        while self._held and asyncio.get_running_loop().time() < deadline:
            await self._release([one for one in self._held.values() if not one.local and not one.unsettled])
            if self._held:
                await asyncio.sleep(0.02)
        await self._release(list(self._held.values()))
        await self.stop()

    async def stop(self) -> None:
        """Leave memory at once, without giving anything back."""
        self.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.every(Activation.close)
        self._held.clear()

    # --- the loop ---------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._patiently(self._hand_over)
            await self._patiently(self._take_wanted)
            await self._patiently(self._read_mail)

    async def _sweep(self) -> None:
        """Nothing is to be told or looked after while nobody is here; of the first that comes it is told at once."""
        while True:
            await self._occupied.wait()
            self._office.held(len(self._held))
            now = asyncio.get_running_loop().time()
            for overdue in [one for one in self._held.values() if one.due <= now]:
                watching.look_after(overdue, now)
            await self._patiently(self._relieve)
            if self._crowded:
                self._work.set()
            await asyncio.sleep(SWEEP)
            if self.empty and not self._crowded:
                self._occupied.clear()
                self._office.held(0)

    async def _patiently(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Postgres may be away: what was to be done is done when it is back."""
        try:
            await work()
        except Unreachable as error:
            log.warning("postgres is away: %s", error)
            await asyncio.sleep(0.2)
            self._work.set()

    async def _take_wanted(self) -> None:
        """A batch at a time, so that the instances that were taken get their mail before the next ones are."""
        batch = dict(islice(self._wanted.items(), await self._room() if self._wanted or self._crowded else 0))
        if not batch:
            return
        resting = await self._resting(batch)
        wanted = [one for one in batch if one not in resting and not self.find(one)]
        taken, held = await leases.take(self._db, self._office.worker, wanted)
        await faults.reach("lease-taken")
        found = {lease.instance for lease in taken} | {other.instance for other in held if not other.owner}
        for instance in {*wanted, *resting} - found:
            self._left.pop(instance, None)  # it was erased, or rests, or it is for its owner to find out
        await self._activate(taken)
        for instance, wake in batch.items():
            if self._wanted.get(instance) is wake:  # else a newer one came meanwhile: look again
                del self._wanted[instance]
        for other in held:
            wake = batch[other.instance]
            if other.owner:
                self._forward(wake, other)
            else:
                self._office.later(LOCKED, partial(self.look, wake))
        if self._wanted:
            self._work.set()

    async def _room(self) -> int:
        """How many can be taken now: at most a batch. Sleepers make room for them.

        None, while more of those that are here have something to record than a commit can take: others would not make
        the worker do more, but everybody wait longer. So what has begun ends first, and the rest waits as mail.
        """
        if self._office.appender.backlogged:
            if not self._held_off:
                self._held_off = True
                self._office.later(SOON, self._go_on)
            return 0
        most = self._office.settings.max_activations
        await self._put_to_sleep(self._sleepers.crowding(min(len(self._wanted) or 1, BATCH, most)), "full")
        room = min(BATCH, most - len(self._held))
        self._crowded = room <= 0
        return max(room, 0)

    def _go_on(self) -> None:
        self._held_off = False
        self._work.set()

    async def _resting(self, batch: Mapping[str, Wake]) -> set[str]:
        """Instances that only wait until their agent is no longer paused: they cost rows, and no memory."""
        paused = [one for one, wake in batch.items() if wake.agent in self._office.pauses and not self.find(one)]
        return await pauses.resting(self._db, paused) if paused else set()

    def _forward(self, wake: Wake, held: Held) -> None:
        self._bus.send(self._bus.subjects.worker_wake(held.owner), dumps(wake))

    async def _activate(self, taken: Sequence[Lease]) -> None:
        if not taken:
            return
        old = [lease.instance for lease in taken if lease.head]
        histories = await history.read(self._db, old)
        await self._prepare(taken, histories)
        await faults.reach("journal-read")
        metrics.leases.labels(event="taken").inc(len(taken))
        for lease in sorted(taken, key=lambda one: one.head):  # long histories keep nobody else waiting
            past = histories.get(lease.instance, NO_HISTORY)
            if isinstance(past, JournalCorrupt):
                await self._refuse(lease, past)
                continue
            activation = Activation(lease, self._agents[lease.agent], self._office, self._lost)
            await self._load(activation, past)
            if not activation.closed:
                self._held[lease.instance] = activation
                self._occupied.set()
                self._stirred.add(lease.instance)

    async def _prepare(self, taken: Sequence[Lease], histories: Mapping[str, History | JournalCorrupt]) -> None:
        """Have at hand what the runs in these histories began with, and who else is there if that is other code."""
        begun: set[tuple[str, int]] = set()
        foreign = False
        for lease in taken:
            past, agent = histories.get(lease.instance), self._agents[lease.agent]
            if isinstance(past, History):
                started = [row.entry for row in past.rows if isinstance(row.entry, RunStarted)]
                begun.update((lease.agent, one.definition) for one in started)
                foreign |= any(one.code != agent.code for one in started)
                foreign |= past.snapshot is not None and version_of(past.snapshot.state) != agent.state.version
        await self._office.definitions.fetch(begun)
        if foreign:
            await self._office.colleagues.refresh()

    async def _refuse(self, lease: Lease, error: JournalCorrupt | Unreadable) -> None:
        """The instance cannot be loaded: its runs are parked, and it is let go until somebody has mended it."""
        log.error("an instance is refused: %s", error, instance=lease.instance)
        self._left.pop(lease.instance, None)
        metrics.parked.labels(reason=parking.UNLOADABLE).inc()
        actions = parking.ACTIONS[parking.UNLOADABLE]
        await runs.park_unloadable(self._db, lease.instance, parking.UNLOADABLE, str(error), actions)
        await leases.release(self._db, self._office.worker, [(lease.instance, lease.epoch)])

    async def _load(self, activation: Activation, past: History) -> None:
        left = self._left.pop(activation.lease.instance, NOTHING)
        left.hand_to(activation)
        if activation.lease.head:
            await loading.load(activation, past, left.reason)

    async def _read_mail(self) -> None:
        while self._stirred:
            stirred = list(islice(self._stirred, BATCH))
            self._stirred.difference_update(stirred)
            self._fetching.update(stirred)
            batch = [one for one in stirred if one in self._held and not self._held[one].closed]
            known = [seq for one in batch for seq in self._held[one].tray.known]
            try:
                found = await mailbox.pending(self._db, batch, known)
            except Unreachable:
                self._stirred.update(batch)
                self._work.set()
                raise
            finally:
                self._fetching.clear()
            for instance, letters in found.items():
                activation = self._held.get(instance)
                if activation is not None:
                    activation.tray.put(letters)
                    self._reading.put(activation)
                if len(letters) >= mailbox.PAGE:
                    self._stirred.add(instance)

    # --- letting go -------------------------------------------------------------------------------------------------

    async def _relieve(self) -> None:
        """Idle instances leave memory: those of age, and while it is short the longest untouched. While others are
        wanted there is always some room, so that these need not wait until it is made.
        """
        await self._put_to_sleep(self._sleepers.aged(SWEEP), "age")
        if self._wanted:
            await self._put_to_sleep(self._sleepers.crowding(self._office.settings.max_activations // AT_ONCE), "full")
        if not self._shortage.acute():
            self._strained = False
            return
        rested = self._sleepers.rested()
        while rested and not self._shortage.over():
            batch, rested = rested[:BATCH], rested[BATCH:]
            await self._put_to_sleep(batch, "memory")
        if not rested and not self._strained and not self._shortage.over():
            self._strained = True
            log.warning("memory is short, and nothing sleeps any more that could leave it", held=len(self._held))

    async def _put_to_sleep(self, activations: Sequence[Activation], reason: str) -> None:
        """Give back those that sleep still: they cost rows from now on, and no memory."""
        for first in range(0, len(activations), BATCH):
            leaving = list(filter(self._sleepers.asleep, activations[first : first + BATCH]))
            await self._release(leaving)
            metrics.evictions.labels(reason=reason).inc(len(leaving))

    async def _release(self, activations: Sequence[Activation]) -> None:
        """Give leases back. Open runs go on elsewhere at once; mail that came meanwhile is woken."""
        if not activations:
            return
        for activation in activations:
            activation.send_all()
            activation.close()
            self._held.pop(activation.lease.instance, None)
        given = [(one.lease.instance, one.lease.epoch) for one in activations]
        # What an idle one has read and not taken waits for something else; else what it takes just now may be refused.
        known = [] if self.closed else [seq for one in activations for seq in one.tray.known]
        waiting = set(await leases.release(self._db, self._office.worker, given, known=known))
        await faults.reach("lease-released")
        metrics.leases.labels(event="released").inc(len(given))
        for one in activations:
            if one.lease.instance in waiting or (self.closed and one.runs):
                self._office.dispatch.wake(one.lease.tenant, one.lease.agent, one.lease.instance)

    async def _hand_over(self) -> None:
        """Let go of instances that this worker's code is not for: to the worker that was named, or until mended."""
        for instance, (lease, why) in list(self._leaving.items()):
            if isinstance(why, Unreadable):
                await self._refuse(lease, why)
            else:
                await leases.release(self._db, self._office.worker, [(instance, lease.epoch)])
                metrics.leases.labels(event="released").inc()
                wake = Wake(tenant=lease.tenant, agent=lease.agent, instance=instance)
                self._bus.send(self._bus.subjects.worker_wake(why.worker), dumps(wake))
                log.info("an instance goes to a worker that has its code", instance=instance, worker=why.worker)
            del self._leaving[instance]

    def _lose(self, activation: Activation, error: BaseException | None, letters: Iterable[int]) -> None:
        """A turn was refused: the instance is another's now, or what it holds cannot be recorded. Look again."""
        if activation.closed:
            return
        lease, left = activation.lease, NOTHING
        if not isinstance(error, Fenced | Unreachable):
            activation.send_all()
            left = legacy.of(activation, error, letters, loaded=lease.instance in self._held)
        activation.close()
        self._held.pop(lease.instance, None)
        if isinstance(error, Unreachable):
            return  # the worker is ending
        wake = Wake(tenant=lease.tenant, agent=lease.agent, instance=lease.instance)
        if isinstance(error, GoesElsewhere | Unreadable):
            self._leaving[lease.instance] = lease, error
            self._work.set()
            return
        if left:
            self._left[lease.instance] = left
        if error is None:
            self.look(wake)
            return
        log.warning("an activation was dropped: %s", error, instance=lease.instance)
        if isinstance(error, Fenced):
            metrics.leases.labels(event="fenced").inc()
            self.look(wake)
        else:
            self._office.later(AGAIN_AFTER, partial(self.look, wake))


NO_HISTORY = History([])
