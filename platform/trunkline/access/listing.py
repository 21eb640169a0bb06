"""Lists that are put together from several tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trunkline.store import definitions, pauses
from trunkline.store.database import Database


async def agents(db: Database, tenant: str) -> list[dict[str, Any]]:
    """Declared agents with their newest version, by name; ``paused`` is None, or ``{"reason", "at"}``."""
    found = await definitions.current(db, tenant, "agent")
    paused = await pauses.paused(db, tenant)
    return [
        {"version": one.version, **one.body, "paused": asdict(paused[name]) if name in paused else None}
        for name, one in found.items()
    ]
