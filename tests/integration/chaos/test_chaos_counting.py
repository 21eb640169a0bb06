"""What the count at the end calls lost, on a real Postgres."""

from __future__ import annotations

import pytest

from trunkline.access.letters import request
from trunkline.chaos.counting import count
from trunkline.domain.effects import Begun
from trunkline.domain.ids import new_id
from trunkline.settings import Settings
from trunkline.store.accept import accept
from trunkline.store.database import Database


@pytest.fixture
async def db(settings: Settings):
    db = await Database.open(settings.database_url.get_secret_value(), schema=settings.database_schema, size=2)
    yield db
    await db.close()


async def test_a_run_that_nobody_carried_out_is_lost(db: Database) -> None:
    [accepted] = await accept(db, [request("default", "orders", None, 1, "chaos-0-1", deadline=None)])
    found = await count(db, "default", [], [accepted.run], own_instances=True)
    assert (found.lost, found.violations, found.repeated.llm_cost_usd) == (1, [], None)


async def test_an_accepted_run_that_is_not_there_is_lost(db: Database) -> None:
    found = await count(db, "default", [], [new_id()], own_instances=True)
    assert (found.lost, found.standing) == (1, {})


async def test_two_runs_of_one_start_and_an_effect_without_a_step_are_doubled(db: Database) -> None:
    letters = [request("default", "orders", "one", number, f"chaos-0-{number}", deadline=None) for number in (1, 2)]
    accepted = [one.run for one in await accept(db, letters)]
    begun = [Begun(key="k", attempt=1, at=1.0)]
    found = await count(db, "default", begun, accepted, own_instances=True)
    assert len(found.violations) == 2
    assert (await count(db, "default", [], accepted, own_instances=False)).violations == []
