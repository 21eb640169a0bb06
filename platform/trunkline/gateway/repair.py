"""The routes by which people free what is stuck: parked runs, decisions that are waited for, and dead letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from trunkline.domain.approvals import PREFIX
from trunkline.domain.codec import digest
from trunkline.domain.errors import BadInput, NotParked
from trunkline.domain.ids import new_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, Resolution, RunStatus
from trunkline.gateway.routes import IdempotencyKey, as_json, desk_of
from trunkline.store import approvals, dead_letters, runs
from trunkline.store.approvals import Pending
from trunkline.store.redrive import redrive

router = APIRouter(prefix="/v1")

Limit = Annotated[int, Query(ge=1, le=1000)]


@router.post("/runs/{run}/resolve", status_code=202)
async def resolve(request: Request, run: str, idempotency_key: IdempotencyKey = None) -> Response:
    """Say how a parked run may go on.

    The body is `{"outcome": "happened", "value": …}` or `{"outcome": "failed", "reason": "…"}` for a step whose outcome
    is unknown, or `{"outcome": "again"}` for any; `"by"` says who decided, and `"step"` names the step where several
    are unknown.
    """
    desk = desk_of(request)
    tenant, said = desk.tenant(request), _resolution(await desk.body(request))
    found = await runs.get(desk.db, tenant, run)
    if found.status != RunStatus.PARKED:
        raise NotParked(run=run, status=found.status)
    message_id = f"resolve:{run}:{idempotency_key or new_id()}"
    letter = Envelope(
        tenant, found.agent, found.key, message_id, EnvelopeKind.RESOLVE, said, run=run, digest=digest(said)
    )
    await desk.accept([letter], idempotency_key)
    return as_json({"run_id": run, "status": found.status}, 202)


@router.get("/approvals")
async def list_approvals(request: Request, limit: Limit = 50, cursor: str | None = None) -> Response:
    """The decisions that runs wait for, newest first: each with its `id`, what it is about, and when it expires."""
    desk = desk_of(request)
    found, following = await approvals.list_approvals(desk.db, desk.tenant(request), limit=limit, cursor=cursor)
    return as_json({"items": [asdict(each) for each in found], "next": following})


@router.get("/approvals/{id_}")
async def show_approval(request: Request, id_: str) -> Response:
    """One that nobody has decided yet."""
    desk = desk_of(request)
    return as_json(asdict(await approvals.get(desk.db, desk.tenant(request), id_)))


@router.post("/approvals/{id_}", status_code=202)
async def decide(request: Request, id_: str) -> Response:
    """Decide, once: `{"approved": true | false, "by": "who", "comment": "…"}`. The same decision again changes nothing,
    another one is refused (409).
    """
    desk = desk_of(request)
    tenant, decision = desk.tenant(request), _decision(await desk.body(request))
    asked = await approvals.get(desk.db, tenant, id_)
    await desk.accept([_answer(tenant, asked, decision)], f"approval {id_}")
    return as_json({"id": id_, "run_id": asked.run, **decision}, 202)


@router.post("/dead-letters/{id_}/redrive", status_code=202)
async def redrive_dead_letter(request: Request, id_: str) -> Response:
    """Send it out again, once: an event to all that subscribe by now, a signal to its instance."""
    desk = desk_of(request)
    envelopes = await redrive(desk.db, await dead_letters.get(desk.db, desk.tenant(request), id_))
    for envelope in envelopes:
        desk.wake(envelope)
    return as_json({"id": id_, "sent_to": [{"agent": one.agent, "key": one.key} for one in envelopes]}, 202)


@router.post("/dead-letters/{id_}/discard")
async def discard_dead_letter(request: Request, id_: str) -> Response:
    """Settle it without doing anything with it. It is listed no more, and can still be shown."""
    desk = desk_of(request)
    tenant = desk.tenant(request)
    await dead_letters.get(desk.db, tenant, id_)
    return as_json({"id": id_, "discarded": await dead_letters.discard(desk.db, tenant, id_)})


def _resolution(body: Any) -> dict[str, Any]:
    outcome = body.get("outcome") if isinstance(body, dict) else None
    if outcome not in set(Resolution):
        raise BadInput(target="the resolution", reason='write {"outcome": "happened" | "failed" | "again", …}')
    if (outcome == Resolution.HAPPENED) != ("value" in body):
        raise BadInput(target="the resolution", reason='"value" (null, too) goes with "happened", and only with it')
    texts = {name: str(body[name]) for name in ("step", "reason", "by") if body.get(name)}
    return {"outcome": outcome, "value": body.get("value"), **texts}


def _decision(body: Any) -> dict[str, Any]:
    approved, by = (body.get("approved"), body.get("by")) if isinstance(body, dict) else (None, None)
    if not isinstance(approved, bool) or not isinstance(by, str) or not by:
        raise BadInput(target="the decision", reason='write {"approved": true or false, "by": "who decided"}')
    return {"approved": approved, "by": by, "comment": body.get("comment")}


def _answer(tenant: str, asked: Pending, decision: dict[str, Any]) -> Envelope:
    said = {"name": f"{PREFIX}{asked.name}:{asked.digest}", "data": decision}
    return Envelope(
        tenant,
        asked.agent,
        asked.key,
        f"approval:{asked.id}",
        EnvelopeKind.SIGNAL,
        said,
        run=asked.run,
        digest=digest(decision),
    )
