"""The other agent workers that are at work, and which code they announce: who could go on where this one cannot."""

from __future__ import annotations

from collections.abc import Collection

from trunkline.store import workers
from trunkline.store.database import Database


class Unreadable(Exception):
    """This worker's code cannot read the instance's state; nobody else is there who could."""


class GoesElsewhere(Exception):
    """The instance is for another worker, which has the code that its run began with."""

    def __init__(self, worker: str) -> None:
        super().__init__(worker)
        self.worker = worker


class Colleagues:
    """As of the last ``refresh``. Who is named may have died since: then its mail is found untaken."""

    def __init__(self, db: Database, tenant: str, worker: str) -> None:
        self._db, self._tenant, self._worker = db, tenant, worker
        self._announced: dict[str, workers.Announced] = {}

    def with_code(self, agent: str, codes: Collection[str]) -> str | None:
        """A worker that announces this code of ``agent``; none where several codes are asked for: nobody has two."""
        if len(set(codes)) != 1:
            return None
        [code] = set(codes)
        found = (name for name, agents in self._announced.items() if agents.get(agent, {}).get("code") == code)
        return next(found, None)

    def with_state(self, agent: str, version: int) -> str | None:
        """A worker that can read states of ``agent`` of this version."""
        found = (name for name, agents in self._announced.items() if agents.get(agent, {}).get("state", 0) >= version)
        return next(found, None)

    async def refresh(self) -> None:
        """Look who is at work.

        Raises:
            Unreachable: Postgres is away.
        """
        announced = await workers.announced(self._db, self._tenant)
        self._announced = {name: agents for name, agents in announced.items() if name != self._worker}
