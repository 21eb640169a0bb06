"""Late outcomes of unsafe steps that contradict what somebody decided meanwhile: kept as dead letters, for a person."""

from __future__ import annotations

from trunkline.domain import journal
from trunkline.domain.ids import derived_id
from trunkline.domain.journal import Entry
from trunkline.domain.work import Outcome
from trunkline.engine.conflict import contradiction
from trunkline.store import dead_letters
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database

_DECIDED = """
select e.type, e.run::text, e.body
from runs r
join journal s on s.instance = r.instance and s.run = r.id and s.version >= r.first_version
              and s.type = 'StepStarted' and s.body->>'key' = %(step)s and s.body->>'execution' = %(execution)s
join journal e on e.instance = s.instance and e.run = s.run and e.version > s.version
              and e.type in ('StepCompleted', 'StepFailed', 'StepRetried', 'StepCancelled')
              and e.body->>'key' = s.body->>'key'
where r.id = %(run)s and r.tenant = %(tenant)s
order by e.version limit 1
"""


async def examine(db: Database, outcome: Outcome) -> str:
    """Look whether ``outcome``, which came too late, contradicts the journal; keep it as a dead letter if it does.

    Returns:
        what it contradicts, or an empty text.

    Raises:
        Unreachable: Postgres is away; ask again.
    """
    why = contradiction(outcome, await _decided(db, outcome))
    if why:
        letter = DeadLetter(
            tenant=outcome.tenant,
            source="outcome",
            reason="conflict",
            detail=f"step {outcome.step}, attempt {outcome.attempt}: {outcome.worker} tells of it late, and {why}",
            subject=f"{outcome.agent}, run {outcome.run}",
            body=outcome.model_dump(mode="json"),
            attempts=outcome.attempt,
        )
        await dead_letters.add(db, letter, id_=derived_id("conflict", outcome.run, outcome.step, outcome.execution))
    return why


async def _decided(db: Database, outcome: Outcome) -> Entry | None:
    parameters = outcome.model_dump(include={"tenant", "run", "step", "execution"})
    async with db.connection() as connection:
        row = await (await connection.execute(_DECIDED, parameters)).fetchone()
    return journal.decode(outcome.instance, *row) if row else None
