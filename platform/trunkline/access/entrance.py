"""What people may ask of the exchange. Each is a letter that is committed first; then its instance is woken.

An idempotency key makes a repeat find what was accepted first; it is remembered for as long as the run that
it began. Another body under the same key is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.access import letters
from trunkline.bus.connection import Bus
from trunkline.domain import deadlines
from trunkline.domain.codec import digest, dumps
from trunkline.domain.errors import (
    AlreadyDecided,
    BadInput,
    IdempotencyConflict,
    NotParked,
    UnknownAgent,
    UnknownApproval,
)
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import check_key
from trunkline.domain.mail import Accepted, Envelope
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.domain.work import Wake
from trunkline.engine.routing import route
from trunkline.observe import faults
from trunkline.store import approvals, dead_letters, definitions, erasure, pauses, runs
from trunkline.store.accept import accept, accept_in
from trunkline.store.accepting import Accepting
from trunkline.store.database import Database
from trunkline.store.erasure import Erased
from trunkline.store.redrive import redrive

MOST_REASON = 1000  # characters


class Entrance:
    """``bus`` is ``None`` while NATS has not been reached: what is accepted then is woken by the supervisor."""

    def __init__(
        self,
        db: Database,
        bus: Bus | None = None,
        *,
        ahead: Callable[[], float] = float,
        max_mailbox: int | None = None,
    ) -> None:
        """``ahead`` is by how many seconds deadlines are told another time than Postgres's; only tests set it. With
        ``max_mailbox``, whatever is asked of an instance where so many letters wait raises ``MailboxFull``.
        """
        self.db = db
        self.bus = bus
        self._ahead = ahead
        self._most = max_mailbox
        self._accepting = Accepting(db, most=max_mailbox)
        self._declared: set[tuple[str, str]] = set()  # agents, by tenant; a declaration is never taken back

    # --- runs -------------------------------------------------------------------------------------------------------

    async def begin(
        self,
        tenant: str,
        agent: str,
        key: str | None,
        value: Any,
        *,
        idempotency_key: str | None = None,
        deadline: Any = None,
    ) -> Accepted:
        """Accept a run and wake its instance. Without ``key`` the instance is the run's own. Returns which run it is,
        and whether it is new.

        ``deadline`` is the JSON of one: seconds from now, or an ISO 8601 time.

        Raises:
            UnknownAgent: no worker declared it.
            BadKey: ``key`` is not a legal one.
            BadInput: ``deadline`` is not understood.
            IdempotencyConflict: the idempotency key was used before with another input.
            MailboxFull: the instance has no room.
        """
        if (tenant, agent) not in self._declared:
            await self.known(tenant, agent)
        letter = letters.request(tenant, agent, key, value, idempotency_key, deadline=await self._moment(deadline))
        return (await self.accept([letter], idempotency_key))[0]

    async def start_in(
        self,
        connection: Any,
        tenant: str,
        agent: str,
        key: str | None,
        value: Any,
        *,
        idempotency_key: str | None = None,
        deadline: Any = None,
    ) -> tuple[str, Envelope]:
        """The same as a part of the caller's own transaction: accepted when that commits. Then ``wake`` the envelope,
        or leave it to the supervisor.

        Raises:
            as ``start``, and TypeError: it is no connection that can be used.
        """
        letter = letters.request(tenant, agent, key, value, idempotency_key, deadline=await self._moment(deadline))
        (accepted,) = await accept_in(connection, [letter], schema=self.db.schema, most=self._most)
        if accepted.conflict:
            raise IdempotencyConflict(key=idempotency_key)
        return accepted.run, letter

    async def _moment(self, deadline: Any) -> float | None:
        return None if deadline is None else deadlines.moment(deadline, await self.db.now() + self._ahead())

    async def signal_run(
        self, tenant: str, run: str, name: str, data: Any, *, idempotency_key: str | None = None
    ) -> runs.Run:
        """Give a run a named message.

        Raises:
            UnknownRun, RunEnded: there is no such run (any more).
            BadInput: the name is that of an approval.
            IdempotencyConflict: as ``start``.
        """
        found = await runs.get(self.db, tenant, run)
        said = {"name": name, "data": data}
        letter = letters.to_run(found, EnvelopeKind.SIGNAL, said, idempotency_key, scope=letters.free_name(name))
        await self.accept([letter], idempotency_key)
        return found

    async def signal_instance(
        self, tenant: str, agent: str, key: str, name: str, data: Any, *, idempotency_key: str | None = None
    ) -> None:
        """Give an instance a named message, for the run that it handles or the next.

        Raises:
            UnknownAgent, BadKey, BadInput, IdempotencyConflict: as above.
        """
        await self.known(tenant, agent)
        letter = letters.to_instance(tenant, agent, key, name, data, idempotency_key=idempotency_key)
        await self.accept([letter], idempotency_key)

    async def cancel(self, tenant: str, run: str, reason: str, *, idempotency_key: str | None = None) -> runs.Run:
        """Ask for a run's end.

        Raises:
            UnknownRun, RunEnded, IdempotencyConflict: as ``signal_run``.
        """
        found = await runs.get(self.db, tenant, run)
        letter = letters.to_run(found, EnvelopeKind.CANCEL, {"reason": reason}, idempotency_key)
        await self.accept([letter], idempotency_key)
        return found

    async def resolve(self, tenant: str, run: str, said: Any, *, idempotency_key: str | None = None) -> runs.Run:
        """Say how a parked run may go on; see ``trunkline.domain.mail`` for what is said.

        Raises:
            UnknownRun, NotParked: there is no such run, or it needs no repair.
            BadInput: it is not understood.
            IdempotencyConflict: as ``start``.
        """
        checked = letters.resolution(said)
        found = await runs.get(self.db, tenant, run)
        if found.status != RunStatus.PARKED:
            raise NotParked(run=run, status=found.status)
        letter = letters.to_run(found, EnvelopeKind.RESOLVE, checked, idempotency_key)
        await self.accept([letter], idempotency_key)
        return found

    # --- decisions, events, dead letters ----------------------------------------------------------------------------

    async def decide(self, tenant: str, id_: str, said: Any) -> dict[str, Any]:
        """Decide about a pending approval, once. Returns what was decided, and of which run.

        Raises:
            UnknownApproval: nobody waits for it (any more).
            BadInput: it is not understood.
            AlreadyDecided: it was decided otherwise.
        """
        decision = letters.decision(said)
        try:
            asked = await approvals.get(self.db, tenant, id_)
        except UnknownApproval:
            return await self._decided(tenant, id_, decision)
        letter = letters.decided(tenant, asked, decision)
        if (await accept(self.db, [letter]))[0].conflict:
            raise AlreadyDecided(id=id_)
        self.wake(letter)
        return {"id": id_, "run_id": asked.run, **decision}

    async def _decided(self, tenant: str, id_: str, decision: dict[str, Any]) -> dict[str, Any]:
        """Nobody waits for it any more: whoever decided just so is told so again."""
        found = await approvals.decided(self.db, tenant, id_)
        if found is None:
            raise UnknownApproval(id=id_)
        run, decided = found
        if decided != digest(decision):
            raise AlreadyDecided(id=id_)
        return {"id": id_, "run_id": run, **decision}

    async def publish(self, tenant: str, event: CloudEvent) -> list[str]:
        """Accept an event for all who subscribe; a repeat is known by its source and id. Returns the runs' ids.

        Raises:
            NoInstanceKey: a subscription's key cannot be taken from it.
        """
        subscribed = (await definitions.subscriptions(self.db, tenant)).get(tenant, [])
        return [one.run for one in await self.accept(route(tenant, event, subscribed))]

    async def redrive(self, tenant: str, id_: str) -> list[Envelope]:
        """Send a dead letter out again, once; returns what was sent.

        Raises:
            UnknownDeadLetter, NotRedrivable: there is none, or nothing can be made of it.
        """
        envelopes = await redrive(self.db, await dead_letters.get(self.db, tenant, id_))
        for envelope in envelopes:
            self.wake(envelope)
        return envelopes

    async def pause(self, tenant: str, agent: str, reason: Any) -> None:
        """From now on (workers hear of it within a second) no run of ``agent`` begins: what is asked waits.

        Raises:
            UnknownAgent: no worker declared it.
            BadInput: there is no reason.
        """
        await self.known(tenant, agent)
        if not isinstance(reason, str) or not reason.strip() or "\x00" in reason:
            raise BadInput(target=f"the pause of agent {agent!r}", reason='say why: {"reason": "…"}')
        await pauses.pause(self.db, tenant, agent, reason[:MOST_REASON])

    async def resume(self, tenant: str, agent: str) -> bool:
        """Let runs of ``agent`` begin again: its workers look at what waits. Returns whether it was paused.

        Raises:
            UnknownAgent: no worker declared it.
        """
        await self.known(tenant, agent)
        return await pauses.resume(self.db, tenant, agent)

    async def erase(self, tenant: str, agent: str, key: str) -> Erased:
        """Erase an instance with all that it was; who waits for it is told, who held it drops it.

        Raises:
            UnknownInstance: nothing was ever accepted for it.
            ErasureRefused: this process's database role may not.
        """
        erased = await erasure.erase(self.db, tenant, agent, check_key(key))
        await faults.reach("instance-erased")
        for letter in erased.letters:
            self.wake(letter)
        for address in erased.told:
            self._wake(*address)
        if erased.owner and self.bus is not None and self.bus.connected:
            wake = Wake(tenant=tenant, agent=agent, instance=erased.instance, anew=True)
            self.bus.send(self.bus.subjects.worker_wake(erased.owner), dumps(wake))
        return erased

    # --- the way in -------------------------------------------------------------------------------------------------

    async def known(self, tenant: str, agent: str) -> definitions.Definition:
        """What the newest version of ``agent`` declares.

        Raises:
            UnknownAgent: no worker declared it; the error names those that are.
        """
        known = await definitions.current(self.db, tenant, "agent")
        if agent not in known:
            raise UnknownAgent(agent=agent, known=", ".join(sorted(known)) or "none")
        self._declared.add((tenant, agent))
        return known[agent]

    async def accept(self, posted: Sequence[Envelope], idempotency_key: str | None = None) -> list[Accepted]:
        """Commit, then wake. A repeat finds what was accepted first."""
        accepted = await self._accepting.accept(posted)
        if any(one.conflict for one in accepted):
            raise IdempotencyConflict(key=idempotency_key)
        for letter in posted:
            self.wake(letter)
        return accepted

    def wake(self, letter: Envelope) -> None:
        """Say that there is mail. Without NATS the supervisor will."""
        self._wake(letter.tenant, letter.agent, letter.instance)

    def _wake(self, tenant: str, agent: str, instance: str) -> None:
        if self.bus is not None and self.bus.connected:
            wake = Wake(tenant=tenant, agent=agent, instance=instance)
            self.bus.publish_soon(self.bus.subjects.inbox(tenant, agent), dumps(wake))
