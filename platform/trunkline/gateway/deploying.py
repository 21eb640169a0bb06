"""The routes by which a definition becomes current: for runs that begin from then on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from trunkline.access import deploying
from trunkline.gateway.routes import as_json, desk_of

router = APIRouter(prefix="/v1")

Version = Annotated[int, Path(ge=1, lt=1 << 31)]


@router.post("/deployments")
async def deploy(request: Request) -> Response:
    """Make definitions current: `{"agents": [spec, …]}`, as `trunkline deploy APP` sends it. A repeat moves nothing."""
    desk = desk_of(request)
    return as_json(await deploying.deploy(desk.db, desk.tenant(request), await desk.body(request)))


@router.post("/rollbacks")
async def roll_back(request: Request) -> Response:
    """Make earlier versions current again: `{"versions": {"agent": 2}}`. A repeat moves nothing."""
    desk = desk_of(request)
    return as_json(await deploying.roll_back(desk.db, desk.tenant(request), await desk.body(request)))


@router.get("/definitions")
async def list_definitions(request: Request, agent: str = "") -> Response:
    """The current definition of every agent; with `agent`, all versions of that one, the newest first."""
    desk = desk_of(request)
    return as_json(await deploying.listed(desk.db, desk.tenant(request), agent))


@router.get("/definitions/{agent}/{version}")
async def show_definition(request: Request, agent: str, version: Version) -> Response:
    """One version, whole."""
    desk = desk_of(request)
    return as_json(await deploying.shown(desk.db, desk.tenant(request), agent, version))
