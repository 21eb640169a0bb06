"""Outcomes that reached somebody who does not own their instance become mail; whoever owns it next reads it there."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.domain.ids import is_id
from trunkline.domain.letters import reply
from trunkline.domain.mail import Envelope
from trunkline.domain.work import Outcome
from trunkline.store import payloads
from trunkline.store.accept import accept
from trunkline.store.arrays import Ids
from trunkline.store.database import Database


async def post_outcomes(db: Database, outcomes: Sequence[Outcome]) -> list[Envelope]:
    """Commit each outcome as a letter to its instance, once for each attempt of its step (and each asking of its
    probe); with its value, if that was kept aside.

    An outcome for an instance or a run that the tenant does not have (any more), or with ids that are none, is passed
    over.

    Returns:
        the letters; wake their instances.

    Raises:
        Unreachable: Postgres is away; nothing may be acknowledged.
    """
    sound = [outcome for outcome in outcomes if is_id(outcome.instance) and is_id(outcome.run)]
    keys = await _keys(db, sound)
    letters = [
        reply(await whole(db, outcome), keys[address])
        for outcome in sound
        if (address := (outcome.tenant, outcome.agent, outcome.instance.lower(), outcome.run.lower())) in keys
    ]
    if letters:
        await accept(db, letters)
    return letters


async def _keys(db: Database, outcomes: Sequence[Outcome]) -> dict[tuple[str, str, str, str], str]:
    """The instances' keys, by what outcomes say of themselves; a run that was erased or removed is nobody's."""
    if not outcomes:
        return {}
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select i.tenant, i.agent, i.id::text, r.id::text, i.key from instances i join runs r on r.instance = i.id"
            " where i.id = any(%s) and r.id = any(%s) and r.key <> ''",
            [Ids({outcome.instance for outcome in outcomes}), Ids({outcome.run for outcome in outcomes})],
        )
        return {(tenant, agent, id_, run): key for tenant, agent, id_, run, key in await cursor.fetchall()}


async def whole(db: Database, outcome: Outcome) -> Outcome:
    """``outcome`` with its value, if that was kept aside. One whose value is lost has failed, and may be tried again.

    Raises:
        Unreachable: Postgres is away, and has the value.
    """
    if not outcome.value_ref:
        return outcome
    try:
        value = await payloads.get(db, outcome.tenant, outcome.value_ref)
    except KeyError:
        error = {"type": "PayloadMissing", "message": f"payload {outcome.value_ref} is not there", "retryable": True}
        return outcome.model_copy(update={"value_ref": "", "error": error})
    return outcome.model_copy(update={"value_ref": "", "value": value})
