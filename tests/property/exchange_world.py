"""A small exchange in one process: real agent workers over a real Postgres, and a bus that a test leads by the hand.

Nothing happens by itself: time stands still between two moves, messages lie in ``pool``, and each move returns when the
workers have nothing left to do. What the supervisor would do is done by moves, with the store's own functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from property.exchange_agents import app
from property.exchange_clock import Clock, Clockwork
from property.exchange_hands import Hands, Job
from property.exchange_lines import Fuse, Line, Message, Pool, Wire
from property.exchange_model import AS_TOLD, Asked, Ended, Model
from property.exchange_watch import Watch
from property.exchange_worker import Worker
from trunkline.bus.subjects import Subjects
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import RunEnded, UnknownRun
from trunkline.domain.ids import new_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Outcome, Wake
from trunkline.settings import Settings
from trunkline.store import bonds, mailbox, reclaim, timers, workers
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline.store.replies import post_outcomes

MANY = 10_000
TICK = 0.02  # seconds that a move takes
MOST_LEAPS = 10_000


class World:
    """Its moves."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.loop: Clockwork = asyncio.get_running_loop()  # type: ignore[assignment]
        self.clock = Clock(self.loop)
        self.settings, self.db = settings, db
        self.tenant = settings.tenant
        self.subjects = Subjects(settings.namespace)
        self.pool, self.model = Pool(), Model()
        self.hands = Hands(self)
        self.workers: list[Worker] = []
        self.watch = Watch(self)
        self.stirred, self.turns = asyncio.Event(), asyncio.Lock()
        self.line = Line(db, Fuse(), self.turns, self.stirred.set)
        self._wire = Wire(self.pool, self.subjects, Fuse())
        self._tasks: set[asyncio.Task[None]] = set()

    # --- workers ----------------------------------------------------------------------------------------------------

    async def join(self) -> None:
        self.workers.append(await Worker.start(self, app))
        await self.settle()

    async def kill(self, worker: Worker) -> None:
        """Its memory is gone, and nothing was given back."""
        worker.fuse.blow()
        await self.settle()

    async def declare_dead(self, worker: Worker) -> None:
        """The supervisor frees what it held. If it was only paused, it goes on as if nothing had happened."""
        seen = await workers.list_workers(self.db, self.tenant)
        for one in seen:
            if one.worker == worker.worker_id:
                worker.declared |= await workers.declare_dead(self.db, one.worker, one.beat_at)
        await self._reclaim(worker)

    async def hand_over(self, worker: Worker) -> None:
        """It gives back what it holds, and leaves."""
        await self.settle(self.spawn(worker.drain(), worker))
        if worker.left:
            await workers.leave(self.db, worker.worker_id)
            await self._reclaim(worker)

    async def _reclaim(self, worker: Worker) -> None:
        await self._wake([address for *address, _, _ in await reclaim.reclaim(self.db, worker.worker_id)])

    # --- mail -------------------------------------------------------------------------------------------------------

    async def accept(self, key: str, plan: list[Any]) -> None:
        asked = Asked(new_id(), key, f"m{len(self.model.asked)}", plan)
        await self._request(asked, asked.run)
        self.model.asked[asked.run] = asked

    async def accept_again(self, asked: Asked) -> None:
        """The same message, from a sender that heard no answer."""
        await self._request(asked, new_id())

    async def _request(self, asked: Asked, run: str) -> None:
        fails = any(what == "boom" for what, *_ in asked.plan)  # however often it is begun
        body = {"input": asked.plan, "handler": "", "parent": None, "restart": not fails}
        letter = Envelope(self.tenant, "clerk", asked.key, asked.message_id, EnvelopeKind.REQUEST, body, run=run)
        [accepted] = await accept(self.db, [letter])
        if accepted.run != asked.run:
            self.watch.faults.append(f"message {asked.message_id} started run {accepted.run} after {asked.run}")
        self.wake(self.tenant, "clerk", letter.instance)

    async def signal(self, asked: Asked, *, again: bool = False) -> None:
        message_id = f"{asked.message_id}s{max(len(asked.signals) - again, 0)}"
        value = asked.signals.get(message_id, 1000 + len(asked.signals))
        if await self.post(asked, EnvelopeKind.SIGNAL, {"name": "go", "data": value}, message_id):
            asked.signals[message_id] = value

    async def cancel(self, asked: Asked) -> None:
        if await self.post(asked, EnvelopeKind.CANCEL, {"reason": "the test says so"}, new_id()):
            asked.cancelled = True

    async def post(self, to: Asked, kind: EnvelopeKind, body: dict[str, Any], message_id: str) -> bool:
        """Whether it was accepted: its run had not ended."""
        return await self._letter(Envelope(self.tenant, "clerk", to.key, message_id, kind, body, run=to.run))

    async def _letter(self, letter: Envelope) -> bool:
        try:
            await accept(self.db, [letter])
        except (RunEnded, UnknownRun):
            return False
        self.wake(self.tenant, letter.agent, letter.instance)
        return True

    async def resolve(self, run: Ended, outcome: str) -> None:
        """Somebody decides about a parked run."""
        step, place = await self._begun(run)
        body = {"outcome": outcome, "step": step, "value": AS_TOLD, "reason": "the test says so", "by": "test"}
        letter = Envelope(self.tenant, run.agent, run.key, new_id(), EnvelopeKind.RESOLVE, body, run=run.run)
        if not await self._letter(letter):
            return
        self.model.decided[run.run, place].add(outcome)
        if outcome == "again":
            self.model.again[run.run, place] += 1

    async def _begun(self, run: Ended) -> tuple[str, int]:
        """The unsafe step that began last, and its place in the plan."""
        rows = await self.rows(
            "select s.body->>'key', s.body->'args'->>'place' from journal s join journal b using (instance, run)"
            " where s.instance = %s and s.run = %s and s.type = 'StepScheduled' and b.type = 'StepStarted'"
            " and s.body->>'key' = b.body->>'key' order by b.version desc limit 1", run.instance, run.run,
        )  # fmt: skip
        return (rows[0][0], int(rows[0][1])) if rows else ("", -1)

    # --- the bus ----------------------------------------------------------------------------------------------------

    def wake(self, tenant: str, agent: str, instance: str) -> None:
        wake = Wake(tenant=tenant, agent=agent, instance=instance)
        self._wire.publish_soon(self.subjects.inbox(tenant, agent), dumps(wake))

    async def _wake(self, addresses: Sequence[Sequence[str]]) -> None:
        """In the order in which the instances got their first letters: that of their ids is another every time."""
        sql = "select instance::text from mailbox where tenant = %s group by instance order by min(seq)"
        places = {instance: place for place, (instance,) in enumerate(await self.rows(sql, self.tenant))}
        ours = [address for address in addresses if address[0] == self.tenant]
        for tenant, agent, instance in sorted(ours, key=lambda address: places[address[2]]):
            self.wake(tenant, agent, instance)

    async def deliver(self, message: Message, worker: Worker, *, answered: bool = True) -> None:
        """Bring a message to whom it is for, or to ``worker``. Unless ``answered``, what it answers is lost."""
        _, scope, what, *rest = message.subject.split(".")
        owner = next((one for one in self.workers if one.worker_id in (scope, rest[0] if rest else "", what)), None)
        if what == "work":
            self.hands.take(message)
        elif what == "cancel":
            self.pool.discard(message)
            self.hands.call_off(rest[0], loads(message.data)["step"])
        elif what == "reply" and (owner is None or owner.gone):
            await self._read_on(message, owner)
        else:
            self._bring(message, worker if what in ("inbox", "permit") else owner, rest[-1], answered)
        await self.settle()

    def _bring(self, message: Message, worker: Worker | None, what: str, answered: bool) -> None:
        kind = "inbox" if ".inbox." in message.subject else "reply" if ".reply." in message.subject else what
        here = worker is not None and not worker.gone
        if kind not in ("inbox", "reply"):
            self.pool.discard(message)  # no stream keeps it
        if here and kind == "inbox":
            worker.on_inbox(message)
        elif here and kind == "reply":
            self.spawn(worker.on_reply(message), worker)
        elif here and kind == "wake":
            worker.on_wake(message)
        elif here:
            self.spawn(worker.on_permit(message, answered=answered), worker)

    async def _read_on(self, message: Message, owner: Worker | None) -> None:
        """The supervisor reads the replies of those that it knows to be gone."""
        if owner is not None and not owner.departed:
            return
        for letter in await post_outcomes(self.db, [Outcome.model_validate_json(message.data)]):
            self.wake(letter.tenant, letter.agent, letter.instance)
        self.pool.discard(message)

    async def flow(self, worker: Worker | None, most: int | None = None) -> None:
        """Deliver and work off everything, in order, without a fault; with ``most`` moves, or as many as may be needed
        for all that lies about.
        """
        tried: list[Message] = []
        for _ in range(300 + 10 * (len(self.hands.jobs) + len(self.pool.messages)) if most is None else most):
            jobs = [job for job in self.hands.jobs if job.state != "asking"]
            held = [job.message for job in self.hands.jobs] + tried
            waiting = [one for one in self.pool.messages if one not in held]
            if jobs:
                await self.work(jobs[0])
            elif waiting and worker is not None and not worker.gone:
                tried.append(waiting[0])
                await self.deliver(waiting[0], worker)
            else:
                return

    # --- tool workers -----------------------------------------------------------------------------------------------

    async def work(self, job: Job) -> None:
        await self.hands.go_on(job)
        await self.settle()

    async def work_badly(self, job: Job, how: str, asked: Worker | None) -> None:
        """Bring a job as far as it can fail so; ``asked`` permits it."""
        if how != "die":
            await self._bring_to("done" if how == "die late" else "allowed", job, asked)
        if job in self.hands.jobs and how.startswith("die"):
            self.hands.die(job)
        elif how == "fail":
            await self.hands.fail(job)
        elif how.startswith("cut"):
            await self.hands.cut_off(job, after_effect=how == "cut late")
        await self.settle()

    async def _bring_to(self, state: str, job: Job, asked: Worker | None) -> None:
        for _ in range(4):
            if job.state == state:
                return
            await self.work(job)
            requests = [one for one in self.pool.messages if job.execution.encode() in one.data and one.reply]
            if requests and asked is not None:
                await self.deliver(requests[0], asked)

    # --- time -------------------------------------------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        self.loop.now += seconds
        await self.settle()

    async def fire_timers(self, number: int = MANY) -> None:
        """Let the first ``number`` timers be due, and fire them."""
        rows = await self.rows(
            "update timers set due_at = now() - interval '1 second' where (instance, run, step) in"
            " (select instance, run, step from timers where tenant = %s order by due_at limit %s)"
            " returning run::text, step",
            self.tenant,
            number,
        )
        self.model.timed_out.update(run for run, step in rows if "wait:" in step)  # in any incarnation
        await self._wake(await timers.fire_due(self.db))

    async def reconcile(self) -> None:
        """Wake what was forgotten, and tell of ends that nobody told of."""
        await self._wake((await bonds.settle_lost(self.db, 0.0, MANY, bonds.FIRST))[0])
        for find in (mailbox.untaken, reclaim.stalled):
            await self._wake(await find(self.db, 0.0, MANY))

    # --- quiet ------------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None], of: Worker | None = None) -> asyncio.Task[None]:
        """``of``: whose task it is, and dies with."""
        task = asyncio.create_task(work)
        (self._tasks if of is None else of.tasks).add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        for tasks in (self._tasks, *(worker.tasks for worker in self.workers)):
            tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.watch.faults.append(f"{task.exception()!r}")

    async def settle(self, until: asyncio.Task[None] | None = None) -> None:
        """Go on until no worker can do any more, and ``until`` is done; time moves only if that waits for it."""
        leaps = 0
        self.loop.now += TICK
        while True:
            while self.loop.restless:  # noqa: ASYNC110 — only the loop can tell
                await asyncio.sleep(0)
            self.stirred.clear()
            if self.line.asking or any(worker.line.asking for worker in self.workers):
                await self.stirred.wait()
            elif fallen := [worker for worker in self.workers if worker.fallen]:
                for worker in fallen:
                    await worker.bury()
            elif until is not None and not until.done():
                leaps += 1
                assert leaps < MOST_LEAPS, "a worker waits for something that does not come"
                self.loop.leap()
                await asyncio.sleep(0)
            else:
                return

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            worker.fuse.blow()
        await self.settle()

    # --- looking ----------------------------------------------------------------------------------------------------

    async def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with self.line.connection() as connection:
            return await (await connection.execute(sql, parameters)).fetchall()

    async def runs(self) -> list[Ended]:
        rows = await self.rows(
            "select id::text, instance::text, agent, key, coalesce(parent_run::text, ''), input, status, output,"
            " coalesce(last_version, 0) from runs where tenant = %s order by created_at, agent",
            self.tenant,
        )
        return [Ended(*row) for row in rows]

    async def parked(self) -> list[Ended]:
        return [run for run in await self.runs() if run.status == "parked"]
