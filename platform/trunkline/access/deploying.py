"""Deploying and rolling back definitions, for the gateway and for the client that needs none."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from trunkline.domain.errors import BadInput, UnknownAgent, UnknownVersion
from trunkline.domain.ids import check_name
from trunkline.domain.specs import AgentSpec
from trunkline.store import definitions, deployments
from trunkline.store.database import Database

MOST = 1000  # agents in one deployment

Listed = dict[str, Any]


async def deploy(db: Database, tenant: str, body: Any) -> Listed:
    """``{"agents": [spec, …]}``: these definitions become current. Answers ``{"moved": [{"name", "version", …}]}``.

    Raises:
        BadInput: it is not that.
        NotDeployable: an agent that is at work would use a tool that no worker has declared.
    """
    found = body.get("agents") if isinstance(body, dict) else None
    if not isinstance(found, list) or not 0 < len(found) <= MOST:
        raise BadInput(target="the deployment", reason=f'the body is not {{"agents": [1 to {MOST} specs]}}')
    try:
        specs = [AgentSpec.model_validate(one) for one in found]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(target="the deployment", reason=f"{where}: {first['msg']}") from None
    if len({spec.name for spec in specs}) < len(specs):
        raise BadInput(target="the deployment", reason="it has an agent twice")
    return {"moved": [asdict(one) for one in await definitions.deploy(db, tenant, specs)]}


async def roll_back(db: Database, tenant: str, body: Any) -> Listed:
    """``{"versions": {agent: version, …}}``: these become current again; answers as ``deploy``. A repeat moves nothing.

    Raises:
        BadInput: it is not that.
        UnknownVersion: an agent has no such version; nothing was moved.
    """
    versions = body.get("versions") if isinstance(body, dict) else None
    if not isinstance(versions, dict) or not 0 < len(versions) <= MOST or not all(map(_is_version, versions.values())):
        raise BadInput(target="the rollback", reason='the body is not {"versions": {"agent": version}}')
    return {"moved": [asdict(one) for one in await deployments.roll_back(db, tenant, versions)]}


async def listed(db: Database, tenant: str, agent: str = "") -> Listed:
    """The current definition of every agent; or all versions of ``agent``, the newest first.

    Raises:
        BadName: no agent is named so.
        UnknownAgent: nobody has declared it.
    """
    found = await deployments.versions(db, tenant, check_name("agent", agent) if agent else None)
    if agent and not found:
        known = await deployments.versions(db, tenant)
        raise UnknownAgent(agent=agent, known=", ".join(one.agent for one in known) or "none")
    return {"items": [asdict(one) for one in found], "next": None}


async def shown(db: Database, tenant: str, agent: str, version: int) -> Listed:
    """One version, whole: ``{"agent", "version", "app", "body"}``.

    Raises:
        BadName: no agent is named so.
        UnknownVersion: there is none.
    """
    check_name("agent", agent)
    found = await definitions.exactly(db, tenant, [(agent, version)] if _is_version(version) else [])
    if not found:
        raise UnknownVersion(agent=agent, version=version)
    return {"agent": agent, "version": version, "app": found[0].app, "body": found[0].body}


def _is_version(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31
