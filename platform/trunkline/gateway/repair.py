"""The routes by which people free what is stuck: parked runs, decisions that are waited for, and dead letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from trunkline.gateway.routes import IdempotencyKey, as_json, desk_of
from trunkline.store import approvals, dead_letters

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
    tenant, said = desk.tenant(request), await desk.body(request)
    found = await desk.entrance.resolve(tenant, run, said, idempotency_key=idempotency_key)
    return as_json({"run_id": run, "status": found.status}, 202)


@router.post("/agents/{agent}/pause")
async def pause(request: Request, agent: str) -> Response:
    """Let no new run of the agent begin: requests are accepted and wait, runs that have begun go on. The body is
    `{"reason": "…"}`. Workers hear of it within a second.
    """
    desk = desk_of(request)
    tenant, said = desk.tenant(request), await desk.body(request)
    await desk.entrance.pause(tenant, agent, said.get("reason") if isinstance(said, dict) else "")
    return as_json({"agent": agent, "paused": True})


@router.post("/agents/{agent}/resume")
async def resume(request: Request, agent: str) -> Response:
    """Let runs of the agent begin again. `was_paused` says whether it was paused."""
    desk = desk_of(request)
    was_paused = await desk.entrance.resume(desk.tenant(request), agent)
    return as_json({"agent": agent, "paused": False, "was_paused": was_paused})


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
    return as_json(await desk.entrance.decide(desk.tenant(request), id_, await desk.body(request)), 202)


@router.post("/dead-letters/{id_}/redrive", status_code=202)
async def redrive_dead_letter(request: Request, id_: str) -> Response:
    """Send it out again, once: an event to all that subscribe by now, a signal to its instance."""
    desk = desk_of(request)
    envelopes = await desk.entrance.redrive(desk.tenant(request), id_)
    return as_json({"id": id_, "sent_to": [{"agent": one.agent, "key": one.key} for one in envelopes]}, 202)


@router.post("/dead-letters/{id_}/discard")
async def discard_dead_letter(request: Request, id_: str) -> Response:
    """Settle it without doing anything with it. It is listed no more, and can still be shown."""
    desk = desk_of(request)
    tenant = desk.tenant(request)
    await dead_letters.get(desk.db, tenant, id_)
    return as_json({"id": id_, "discarded": await dead_letters.discard(desk.db, tenant, id_)})
