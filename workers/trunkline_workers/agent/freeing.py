"""Runs that were parked for want of just the code that this worker has: it asks for another try, once for each run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from trunkline.domain.errors import RunEnded, UnknownRun
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, Resolution
from trunkline.store import runs
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline_workers.agent.dispatch import Dispatch

MOST = 1000  # at one look


async def free(db: Database, dispatch: Dispatch, tenant: str, worker: str, codes: Mapping[str, str]) -> int:
    """``codes`` are this worker's, by agent. Returns how many runs are asked for.

    Raises:
        Unreachable: Postgres is away.
    """
    found = await runs.diverged(db, tenant, codes, limit=MOST)
    body = {"outcome": Resolution.AGAIN, "step": "", "by": f"worker {worker}, which has its code"}
    for agent, key, run in found:
        letter = Envelope(tenant, agent, key, f"free:{worker}:{run}", EnvelopeKind.RESOLVE, body, run=run)
        with suppress(RunEnded, UnknownRun):
            await accept(db, [letter])
            dispatch.wake(tenant, agent, letter.instance)
    return len(found)
