"""Which agents are paused: the rows of Postgres, kept at hand."""

from __future__ import annotations

from collections.abc import Callable, Collection

from trunkline.store import pauses
from trunkline.store.database import Database
from trunkline_workers.keeping import Kept


class Pauses(Kept):
    """``resumed`` is called with the name of an
    agent that goes on, and the instances of it that have mail.
    """

    def __init__(self, db: Database, tenant: str) -> None:
        self._db, self._tenant = db, tenant
        self._paused: frozenset[str] = frozenset()
        self.resumed: Callable[[str, Collection[str]], None] = lambda _agent, _instances: None

    def __contains__(self, agent: object) -> bool:
        return agent in self._paused

    async def refresh(self) -> None:
        now = frozenset(await pauses.paused(self._db, self._tenant))
        waiting = {agent: await pauses.waiting(self._db, self._tenant, agent) for agent in self._paused - now}
        self._paused = now
        for agent, instances in waiting.items():
            self.resumed(agent, instances)
