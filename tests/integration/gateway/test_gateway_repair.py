"""People free over HTTP what is stuck: decisions, parked runs, dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from trunkline import App, Context
from trunkline.domain.ids import instance_id
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline.store import dead_letters
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database
from trunkline_workers.agent import service as agents

app = App("repair_under_test")


@app.agent("buyer", on="thing.offered", key="data.id")
async def buyer(ctx: Context, thing: dict[str, str]) -> str:
    decision = await ctx.approve("buy", thing, timeout="2d")
    return f"{decision.by} said {decision.approved}"


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.open(settings.database_url.get_secret_value(), schema=settings.database_schema, size=2)
    yield db
    await db.close()


@pytest.fixture
async def http(settings: Settings, run_service: Any) -> AsyncIterator[httpx2.AsyncClient]:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    url = await run_service(lambda stop, ready: serve(free, stop, ready))
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def asked(http: httpx2.AsyncClient, eventually: Any, key: str) -> tuple[str, dict[str, Any]]:
    """A run that waits for a decision, and what is listed of it."""
    path = f"/v1/agents/buyer/instances/{key}/runs"
    run = (await http.post(path, json={"input": {"id": key}})).json()["run_id"]

    async def listed() -> list[dict[str, Any]]:
        return (await http.get("/v1/approvals")).json()["items"]

    (pending,) = await eventually(listed)
    return run, pending


async def test_a_decision_is_listed_given_once_and_gone(http: httpx2.AsyncClient, eventually: Any) -> None:
    run, pending = await asked(http, eventually, "one")
    assert (pending["run"], pending["name"], pending["subject"]) == (run, "buy", {"id": "one"})
    path = f"/v1/approvals/{pending['id']}"
    assert (await http.get(path)).json() == pending
    for nonsense in ({"approved": "yes", "by": "ann"}, {"approved": True}, [], "yes"):
        assert (await http.post(path, json=nonsense)).status_code == 422
    assert (await http.post(path, json={"approved": True, "by": "ann"})).status_code == 202

    async def ended() -> Any:
        shown = (await http.get(f"/v1/runs/{run}")).json()
        return shown if shown["status"] == "completed" else None

    assert (await eventually(ended))["output"] == "ann said True"
    for same in (path, f"/v1/approvals/{pending['id'].upper()}"):
        again = await http.post(same, json={"approved": True, "by": "ann"})
        assert (again.status_code, again.json()["run_id"]) == (202, run), "the same decision is told again"
    late = await http.post(path, json={"approved": False, "by": "bob"})
    assert (late.status_code, late.json()["type"]) == (409, "urn:trunkline:already-decided")
    assert (await http.get(path)).status_code == 404
    assert (await http.get("/v1/approvals")).json()["items"] == []


async def test_approval_signals_are_not_for_the_signal_route(http: httpx2.AsyncClient, eventually: Any) -> None:
    run, pending = await asked(http, eventually, "two")
    name = f"approve:{pending['name']}:{pending['digest']}"
    for path in (f"/v1/runs/{run}/signals/{name}", f"/v1/agents/buyer/instances/two/signals/{name}"):
        refused = await http.post(path, json={"approved": True, "by": "mallory"})
        assert refused.status_code == 422
        assert "/v1/approvals" in refused.json()["detail"]


async def test_only_a_parked_run_can_be_resolved(http: httpx2.AsyncClient, eventually: Any) -> None:
    run, _ = await asked(http, eventually, "three")
    assert (await http.post(f"/v1/runs/{run}/resolve", json={"outcome": "again"})).status_code == 409
    for nonsense in ({"outcome": "maybe"}, {"outcome": "happened"}, {"outcome": "again", "value": 1}, []):
        assert (await http.post(f"/v1/runs/{run}/resolve", json=nonsense)).status_code == 422


async def test_a_parked_run_is_resolved(http: httpx2.AsyncClient, db: Database, eventually: Any) -> None:
    """What a killer of workers leaves is tried again when somebody says so."""
    async with db.connection() as connection:
        await connection.execute(
            "insert into instances (id, tenant, agent, key, takeovers) values (%s, 'default', 'buyer', 'four', 3)",
            [instance_id("default", "buyer", "four")],
        )
    path = "/v1/agents/buyer/instances/four/runs"
    run = (await http.post(path, json={"input": {"id": "four"}})).json()["run_id"]

    async def status(wanted: str) -> Any:
        shown = (await http.get(f"/v1/runs/{run}")).json()
        return shown if shown["status"] == wanted else None

    parked = await eventually(lambda: status("parked"))
    assert f"trunkline runs resolve {run} --again" in parked["next_actions"]
    answer = await http.post(f"/v1/runs/{run}/resolve", json={"outcome": "again", "by": "ann"})
    assert answer.status_code == 202
    await eventually(lambda: status("waiting"))


async def test_dead_letters_are_redriven_and_discarded(http: httpx2.AsyncClient, db: Database) -> None:
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": "thing.offered", "data": {"id": "five"}}
    first, second = [
        await dead_letters.add(db, DeadLetter("default", "event", "bad event", body=event)) for _ in range(2)
    ]
    answer = await http.post(f"/v1/dead-letters/{first}/redrive")
    assert (answer.status_code, answer.json()["sent_to"]) == (202, [{"agent": "buyer", "key": "five"}])
    assert (await http.post(f"/v1/dead-letters/{first}/redrive")).json() == answer.json(), "it is told again"
    assert (await http.post(f"/v1/dead-letters/{second}/redrive")).status_code == 202
    async with db.connection() as connection:
        cursor = await connection.execute("select count(*) from runs")
        assert await cursor.fetchone() == (1,), "the same event starts one run"
    second = await dead_letters.add(db, DeadLetter("default", "event", "bad event", body=event))
    assert (await http.post(f"/v1/dead-letters/{second}/discard")).json() == {"id": second, "discarded": True}
    assert (await http.get("/v1/dead-letters")).json()["items"] == []
    assert (await http.get(f"/v1/dead-letters/{second}")).json()["settled_as"] == "discarded"
    assert (await http.post("/v1/dead-letters/nope/redrive")).status_code == 404
