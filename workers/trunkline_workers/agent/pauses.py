"""Which agents are paused, and what follows when one goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from trunkline.store import pauses
from trunkline.store.database import Database


class Pauses:
    """``resumed`` is called with the name of an agent that goes on, and the instances of it that have mail."""

    def __init__(self, db: Database, tenant: str) -> None:
        self._db, self._tenant = db, tenant
        self._paused: frozenset[str] = frozenset()
        self.resumed: Callable[[str, Collection[str]], None] = lambda _agent, _instances: None

    def __contains__(self, agent: object) -> bool:
        return agent in self._paused

    async def take(self, agents: Iterable[str]) -> None:
        """These, and no others, are paused now.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """
        now = frozenset(agents)
        waiting = {agent: await pauses.waiting(self._db, self._tenant, agent) for agent in self._paused - now}
        self._paused = now
        for agent, instances in waiting.items():
            self.resumed(agent, instances)
