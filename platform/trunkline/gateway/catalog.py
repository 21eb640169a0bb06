"""The routes that show what there is: tools, an agent's instances, the processes at work, and dead letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from trunkline.gateway.routes import as_json, desk_of
from trunkline.store import dead_letters, definitions, instances, schedules, workers

router = APIRouter(prefix="/v1")

Limit = Annotated[int, Query(ge=1, le=1000)]
REMEMBERED = 60.0  # seconds that a process is shown after it died or left


@router.get("/tools")
async def list_tools(request: Request) -> Response:
    """Declared tools, with their newest version."""
    desk = desk_of(request)
    found = await definitions.current(desk.db, desk.tenant(request), "tool")
    return as_json({"items": [{"version": one.version, **one.body} for one in found.values()], "next": None})


@router.get("/agents/{agent}/instances")
async def list_instances(request: Request, agent: str, limit: Limit = 50, cursor: str | None = None) -> Response:
    """An agent's instances that were ever at work, by key."""
    desk = desk_of(request)
    found, following = await instances.list_instances(
        desk.db, desk.tenant(request), agent=agent, limit=limit, cursor=cursor
    )
    return as_json({"items": [asdict(each) for each in found], "next": following})


@router.get("/schedules")
async def list_schedules(request: Request) -> Response:
    """The schedules that agents have declared: when each is due next, and was due last."""
    desk = desk_of(request)
    found = await schedules.list_schedules(desk.db, desk.tenant(request))
    return as_json({"items": [asdict(each) for each in found], "next": None})


@router.get("/workers")
async def list_workers(request: Request) -> Response:
    """The tenant's workers, and the processes that serve all tenants; the dead and the gone for a minute more."""
    desk = desk_of(request)
    tenant = desk.tenant(request)
    found = await workers.list_workers(desk.db, gone=REMEMBERED)
    return as_json({"items": [asdict(each) for each in found if each.tenant in (tenant, "")], "next": None})


@router.get("/dead-letters")
async def list_dead_letters(
    request: Request, source: str | None = None, limit: Limit = 50, cursor: str | None = None
) -> Response:
    """What could not be handled and nobody has settled, newest first."""
    desk = desk_of(request)
    found, following = await dead_letters.list_dead_letters(
        desk.db, desk.tenant(request), source=source, limit=limit, cursor=cursor
    )
    return as_json({"items": [asdict(each) for each in found], "next": following})


@router.get("/dead-letters/{id_}")
async def show_dead_letter(request: Request, id_: str) -> Response:
    """One dead letter, whole."""
    desk = desk_of(request)
    return as_json(asdict(await dead_letters.get(desk.db, desk.tenant(request), id_)))
