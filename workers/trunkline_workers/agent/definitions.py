"""What the agents of this worker are declared as: the current version for new runs, any other for runs in flight.

A version never changes, so it is read once. Which one is current is told again and again: a deployment is taken up
without a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trunkline.authoring.agent import Agent
from trunkline.domain.specs import ModelSettings
from trunkline.observe import logs
from trunkline.store import definitions
from trunkline.store.database import Database

log = logs.get("definitions")


class Definitions:
    """``agents`` are those that this worker runs; ``told`` hears of changes."""

    def __init__(
        self, db: Database, tenant: str, agents: Collection[str], told: Callable[[], object] = lambda: None
    ) -> None:
        self._db, self._tenant = db, tenant
        self.agents = list(agents)
        self._current: dict[str, int] = {}
        self._models: dict[tuple[str, int], ModelSettings | None] = {}
        self._told = told

    def announced(self, agents: Mapping[str, Agent[Any, Any]]) -> dict[str, dict[str, Any]]:
        """What a worker with this code announces, by agent: ``{"code", "state", "definition"}``."""
        return {
            name: {"code": agent.code, "state": agent.state.version, "definition": self.current(name)}
            for name, agent in agents.items()
        }

    def current(self, agent: str) -> int:
        """The version that new runs of ``agent`` keep to; 0 if none is declared."""
        return self._current.get(agent, 0)

    def model(self, agent: str, version: int) -> ModelSettings | None:
        """What that version calls its model with; None for an agent that is a function, or a version that is not there.

        It must have been fetched, or current.
        """
        return self._models.get((agent, version))

    async def fetch(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Have these (agent, version) at hand.

        Raises:
            Unreachable: Postgres is away.
        """
        missing = {one for one in wanted if one not in self._models and one[1]}
        for found in await definitions.exactly(self._db, self._tenant, missing):
            self._models[found.name, found.version] = _model(found)

    async def take(self, current: Mapping[str, int]) -> None:
        """These versions are current, by agent. A change holds once the version itself is at hand.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """
        await self.fetch(current.items())
        for agent, version in current.items():
            before = self._current.get(agent)
            if before != version and (agent, version) in self._models:
                self._current[agent] = version
                self._told()
                if before is not None:
                    log.info("another definition is current", agent=agent, version=version, before=before)


def _model(found: definitions.Definition) -> ModelSettings | None:
    try:
        return found.agent.model
    except ValidationError:
        log.exception("a definition cannot be read; the code's own is used", agent=found.name, version=found.version)
        return None
