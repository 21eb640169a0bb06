"""Reads on for agent workers that died or left: outcomes that come for them are committed as mail, and woken.

Looks at which reply subjects hold messages, so an outcome is found however late it comes, and a message is removed only
when its letter is committed. A departed worker's consumer is deleted when nothing is left for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.stored import Stored
from trunkline.domain.errors import NotAMessage
from trunkline.domain.work import Outcome
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database
from trunkline.store.dead_letters import add, readable
from trunkline.store.replies import post_outcomes
from trunkline.supervisor.supervise import rest_until_next
from trunkline.supervisor.wakes import wake

log = logs.get("supervisor")

STREAM = "REPLY"
BATCH = 100
TIDY = 5  # looks, in one of which consumers without an owner are looked for


class Replies:
    """One look every ``reconcile_every`` seconds; ``drain`` reads one worker's subject at once."""

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self._db, self._bus, self._settings = db, bus, settings
        self._idle: set[str] = set()  # consumers that were found without an owner at the last look
        self._ownerless: list[stored.Reader] = []  # that were found then
        self._looks = 0

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            await rest_until_next(self._settings.reconcile_every)

    async def look(self) -> None:
        """Read what lies on departed workers' subjects, and delete their consumers."""
        held = await stored.subjects(self._bus, STREAM)
        readers = await stored.readers(self._bus, STREAM) if self._ownerless or self._looks % TIDY == 0 else []
        self._looks += 1
        present = await self._present()  # read last: a worker joins before anything is sent to it
        for subject in held:
            if subject not in present:
                await self._drain(subject)
        self._ownerless = [reader for reader in readers if reader.subject not in present]
        await self._delete(self._ownerless)

    async def drain(self, tenant: str, worker: str) -> None:
        """Commit and remove all that lies on the reply subject of ``worker``, which must have departed.

        Raises:
            Unavailable: Postgres or NATS is away; what was not committed stays where it is.
        """
        await self._drain(self._bus.subjects.reply(tenant, worker))

    async def _present(self) -> set[str]:
        return {
            self._bus.subjects.reply(worker.tenant, worker.worker) for worker in await workers.list_workers(self._db)
        }

    async def _drain(self, subject: str) -> None:
        while messages := await stored.read(self._bus, STREAM, subject, limit=BATCH):
            await self._commit(messages)
            await stored.purge(self._bus, STREAM, subject, up_to=messages[-1].seq)

    async def _commit(self, messages: Sequence[Stored]) -> None:
        outcomes: list[Outcome] = []
        for message in messages:
            try:
                outcomes += Outcome.read_all(message.data)
            except NotAMessage as error:
                await self._give_up(message, str(error))
        letters = await post_outcomes(self._db, outcomes)
        metrics.late_replies.inc(len(letters))
        await faults.reach("replies-posted")
        if len(letters) < len(outcomes):
            log.warning("outcomes for unknown instances are passed over", outcomes=len(outcomes) - len(letters))
        await wake(self._bus, {(letter.tenant, letter.agent, letter.instance) for letter in letters})

    async def _give_up(self, message: Stored, reason: str) -> None:
        tenant = message.subject.split(".")[1]
        letter = DeadLetter(
            tenant, "reply", "not an outcome", detail=reason, subject=message.subject, body=readable(message.data)
        )
        await add(self._db, letter)

    async def _delete(self, ownerless: Iterable[stored.Reader]) -> None:
        """Delete at the second look: a worker that is just starting may have its consumer before its row is seen."""
        found = {reader.name for reader in ownerless if not reader.pending}
        for name in found & self._idle:
            await stored.delete_reader(self._bus, STREAM, name)
        self._idle = found - self._idle
