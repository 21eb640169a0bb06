"""What a client asks, and who answers: the gateway, or Postgres and NATS themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Protocol

from trunkline.access import deploying, listing
from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.access.transcript import RunEvent
from trunkline.client.http import Http, segment
from trunkline.domain.events import CloudEvent
from trunkline.store import approvals, dead_letters, definitions, family, instances, journal, runs, schedules, workers
from trunkline.store.database import Database

PAGE = 1000  # journal entries


class Transport(Protocol):
    """Answers are JSON values as the gateway's API gives them."""

    async def start(
        self, agent: str, key: str | None, value: Any, idempotency_key: str, deadline: float | str | None = None
    ) -> str: ...
    async def run(self, run: str) -> dict[str, Any]: ...
    async def ended(self, run: str, seconds: float) -> dict[str, Any]: ...
    def events(self, run: str) -> AsyncIterator[RunEvent]: ...
    async def journal(self, run: str, after: int) -> dict[str, Any]: ...
    async def tree(self, run: str) -> dict[str, Any]: ...
    async def signal_run(self, run: str, name: str, data: Any, idempotency_key: str) -> None: ...
    async def signal_instance(self, agent: str, key: str, name: str, data: Any, idempotency_key: str) -> None: ...
    async def cancel(self, run: str, reason: str, idempotency_key: str) -> None: ...
    async def resolve(self, run: str, said: dict[str, Any], idempotency_key: str) -> None: ...
    async def decide(self, approval: str, said: dict[str, Any]) -> None: ...
    async def publish(self, event: CloudEvent) -> list[str]: ...
    async def listed(self, what: str, **query: Any) -> dict[str, Any]: ...
    async def instance(self, agent: str, key: str) -> dict[str, Any]: ...
    async def pause(self, agent: str, reason: str) -> None: ...
    async def resume(self, agent: str) -> None: ...
    async def erase(self, agent: str, key: str) -> dict[str, Any]: ...
    async def redrive(self, dead_letter: str) -> None: ...
    async def discard(self, dead_letter: str) -> None: ...
    async def deploy(self, agents: list[dict[str, Any]]) -> dict[str, Any]: ...
    async def roll_back(self, versions: dict[str, int]) -> dict[str, Any]: ...
    async def close(self) -> None: ...


class OverHttp:
    """Through the gateway."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def start(
        self, agent: str, key: str | None, value: Any, idempotency_key: str, deadline: float | str | None = None
    ) -> str:
        place = f"/v1/agents/{segment(agent)}" + (f"/instances/{segment(key)}" if key is not None else "")
        said = {"input": value} | ({} if deadline is None else {"deadline": deadline})
        answer = await self._http.post(f"{place}/runs", said, idempotency_key=idempotency_key)
        return str(answer["run_id"])

    async def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._http.get(_run(run))
        return found

    async def ended(self, run: str, seconds: float) -> dict[str, Any]:
        found: dict[str, Any] = await self._http.get(_run(run), wait=min(seconds, 20.0))
        return found

    def events(self, run: str) -> AsyncIterator[RunEvent]:
        return self._http.events(f"{_run(run)}/events")

    async def journal(self, run: str, after: int) -> dict[str, Any]:
        page: dict[str, Any] = await self._http.get(f"{_run(run)}/journal", after=after)
        return page

    async def tree(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._http.get(f"{_run(run)}/tree")
        return found

    async def signal_run(self, run: str, name: str, data: Any, idempotency_key: str) -> None:
        await self._http.post(f"{_run(run)}/signals/{segment(name)}", data, idempotency_key=idempotency_key)

    async def signal_instance(self, agent: str, key: str, name: str, data: Any, idempotency_key: str) -> None:
        place = f"/v1/agents/{segment(agent)}/instances/{segment(key)}/signals/{segment(name)}"
        await self._http.post(place, data, idempotency_key=idempotency_key)

    async def cancel(self, run: str, reason: str, idempotency_key: str) -> None:
        await self._http.post(f"{_run(run)}/cancel", {"reason": reason}, idempotency_key=idempotency_key)

    async def resolve(self, run: str, said: dict[str, Any], idempotency_key: str) -> None:
        await self._http.post(f"{_run(run)}/resolve", said, idempotency_key=idempotency_key)

    async def decide(self, approval: str, said: dict[str, Any]) -> None:
        await self._http.post(f"/v1/approvals/{segment(approval)}", said)

    async def publish(self, event: CloudEvent) -> list[str]:
        return list((await self._http.post("/v1/events", event.to_body()))["runs"])

    async def listed(self, what: str, **query: Any) -> dict[str, Any]:
        page: dict[str, Any] = await self._http.get(f"/v1/{what}", **query)
        return page

    async def instance(self, agent: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._http.get(f"/v1/agents/{segment(agent)}/instances/{segment(key)}")
        return found

    async def pause(self, agent: str, reason: str) -> None:
        await self._http.post(f"/v1/agents/{segment(agent)}/pause", {"reason": reason})

    async def resume(self, agent: str) -> None:
        await self._http.post(f"/v1/agents/{segment(agent)}/resume", {})

    async def erase(self, agent: str, key: str) -> dict[str, Any]:
        erased: dict[str, Any] = await self._http.delete(f"/v1/agents/{segment(agent)}/instances/{segment(key)}")
        return erased

    async def redrive(self, dead_letter: str) -> None:
        await self._http.post(f"/v1/dead-letters/{segment(dead_letter)}/redrive", {})

    async def discard(self, dead_letter: str) -> None:
        await self._http.post(f"/v1/dead-letters/{segment(dead_letter)}/discard", {})

    async def deploy(self, agents: list[dict[str, Any]]) -> dict[str, Any]:
        return dict(await self._http.post("/v1/deployments", {"agents": agents}))

    async def roll_back(self, versions: dict[str, int]) -> dict[str, Any]:
        return dict(await self._http.post("/v1/rollbacks", {"versions": versions}))

    async def close(self) -> None:
        await self._http.close()


class Straight:
    """Without a gateway, for one tenant."""

    def __init__(self, db: Database, entrance: Entrance, following: Following, tenant: str) -> None:
        self.db, self.entrance, self.following, self.tenant = db, entrance, following, tenant

    async def start(
        self, agent: str, key: str | None, value: Any, idempotency_key: str, deadline: float | str | None = None
    ) -> str:
        begun = await self.entrance.begin(
            self.tenant, agent, key, value, idempotency_key=idempotency_key, deadline=deadline
        )
        return begun.run

    async def run(self, run: str) -> dict[str, Any]:
        return asdict(await self.following.ended(self.tenant, run, 0.0))

    async def ended(self, run: str, seconds: float) -> dict[str, Any]:
        return asdict(await self.following.ended(self.tenant, run, seconds))

    def events(self, run: str) -> AsyncIterator[RunEvent]:
        return self.following.events(self.tenant, run)

    async def journal(self, run: str, after: int) -> dict[str, Any]:
        await runs.get(self.db, self.tenant, run)
        rows = await journal.read_run(self.db, self.tenant, run, after=after, limit=PAGE)
        return {"items": [row.as_json() for row in rows], "next": rows[-1].version if len(rows) == PAGE else None}

    async def tree(self, run: str) -> dict[str, Any]:
        return await family.tree(self.db, self.tenant, run)

    async def signal_run(self, run: str, name: str, data: Any, idempotency_key: str) -> None:
        await self.entrance.signal_run(self.tenant, run, name, data, idempotency_key=idempotency_key)

    async def signal_instance(self, agent: str, key: str, name: str, data: Any, idempotency_key: str) -> None:
        await self.entrance.signal_instance(self.tenant, agent, key, name, data, idempotency_key=idempotency_key)

    async def cancel(self, run: str, reason: str, idempotency_key: str) -> None:
        await self.entrance.cancel(self.tenant, run, reason, idempotency_key=idempotency_key)

    async def resolve(self, run: str, said: dict[str, Any], idempotency_key: str) -> None:
        await self.entrance.resolve(self.tenant, run, said, idempotency_key=idempotency_key)

    async def decide(self, approval: str, said: dict[str, Any]) -> None:
        await self.entrance.decide(self.tenant, approval, said)

    async def publish(self, event: CloudEvent) -> list[str]:
        return await self.entrance.publish(self.tenant, event)

    async def listed(self, what: str, **query: Any) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value}
        if what == "agents":
            return {"items": await listing.agents(self.db, self.tenant), "next": None}
        if what == "tools":
            found = await definitions.current(self.db, self.tenant, "tool")
            return {"items": [{"version": one.version, **one.body} for one in found.values()], "next": None}
        if what == "definitions":
            return await deploying.listed(self.db, self.tenant, **given)
        if what == "schedules":
            declared = await schedules.list_schedules(self.db, self.tenant)
            return {"items": [asdict(one) for one in declared], "next": None}
        if what == "workers":
            present = await workers.list_workers(self.db)
            return {"items": [asdict(one) for one in present if one.tenant in (self.tenant, "")], "next": None}
        look: Any = {
            "runs": runs.list_runs,
            "dead-letters": dead_letters.list_dead_letters,
            "approvals": approvals.list_approvals,
        }[what]
        items, following = await look(self.db, self.tenant, **given)
        return {"items": [asdict(one) for one in items], "next": following}

    async def instance(self, agent: str, key: str) -> dict[str, Any]:
        return asdict(await instances.get(self.db, self.tenant, agent, key))

    async def pause(self, agent: str, reason: str) -> None:
        await self.entrance.pause(self.tenant, agent, reason)

    async def resume(self, agent: str) -> None:
        await self.entrance.resume(self.tenant, agent)

    async def erase(self, agent: str, key: str) -> dict[str, Any]:
        erased = await self.entrance.erase(self.tenant, agent, key)
        return {"instance": erased.instance, "erased_at": erased.erased_at, "purged": erased.purged}

    async def redrive(self, dead_letter: str) -> None:
        await self.entrance.redrive(self.tenant, dead_letter)

    async def discard(self, dead_letter: str) -> None:
        await dead_letters.get(self.db, self.tenant, dead_letter)
        await dead_letters.discard(self.db, self.tenant, dead_letter)

    async def deploy(self, agents: list[dict[str, Any]]) -> dict[str, Any]:
        return await deploying.deploy(self.db, self.tenant, {"agents": agents})

    async def roll_back(self, versions: dict[str, int]) -> dict[str, Any]:
        return await deploying.roll_back(self.db, self.tenant, {"versions": versions})

    async def close(self) -> None:
        self.following.close()
        if self.entrance.bus is not None:
            await self.entrance.bus.close()
        await self.db.close()


def _run(run: str) -> str:
    return f"/v1/runs/{segment(run)}"
