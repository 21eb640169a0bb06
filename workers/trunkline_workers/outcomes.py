"""From a result to the ``Outcome`` on the bus: checked, bounded, and with a large value kept aside in Postgres."""

from __future__ import annotations

from trunkline.domain import codec
from trunkline.domain.errors import NotJson, PayloadTooLarge
from trunkline.domain.ids import new_id
from trunkline.domain.work import Outcome
from trunkline.store import payloads
from trunkline.store.database import Database
from trunkline_workers.execution import Execution, Result
from trunkline_workers.failures import failure_of


def outcome_of(execution: Execution, result: Result, worker: str) -> Outcome:
    """The outcome that tells the owner of ``result``."""
    item = execution.item
    return Outcome(
        tenant=item.tenant,
        instance=item.instance,
        agent=item.agent,
        run=item.run,
        step=item.step,
        attempt=item.attempt,
        worker=worker,
        execution=execution.id,
        effect=item.effect,
        probe=item.probe or result.probe,
        value=result.value,
        error=result.error,
        usage=result.usage,
    )


def encode(outcome: Outcome, limit: int) -> tuple[Outcome, bytes]:
    """``outcome`` and its body. What has no JSON form, or more than ``limit`` bytes, becomes a failure that says so."""
    try:
        body = codec.dumps(outcome, what="the result")
        if len(body) <= limit:
            return outcome, body
        error = failure_of(PayloadTooLarge(what="The result", size=len(body), limit=limit))
    except NotJson as problem:
        error = failure_of(problem)
    failed = outcome.model_copy(update={"value": None, "error": error})
    return failed, codec.dumps(failed)


async def body_of(db: Database, outcome: Outcome, limit: int, offload_over: int) -> bytes:
    """The message to the owner. A body of more than ``offload_over`` bytes has its value kept aside.

    Raises:
        Unreachable: Postgres is away, and has to take the value.
    """
    outcome, body = encode(outcome, limit)
    if len(body) <= offload_over or outcome.value is None:
        return body
    reference = new_id()
    await payloads.put(db, outcome.tenant, reference, outcome.value, run=outcome.run)
    return codec.dumps(outcome.model_copy(update={"value": None, "value_ref": reference}))
