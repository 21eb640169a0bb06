"""Which version is current: what starts, deployments and rollbacks make of each other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.domain.errors import NotDeployable, UnknownVersion
from trunkline.domain.specs import AgentSpec, ModelSettings, ToolSpec
from trunkline.store import at_hand, definitions, deployments
from trunkline.store.database import Database
from trunkline.store.deployments import Moved

TENANT = "acme"


def triage(instructions: str, **more: Any) -> AgentSpec:
    return AgentSpec(
        name="triage", app="desk", kind="llm", model=ModelSettings(model="x", instructions=instructions), **more
    )


ONE, TWO, THREE = triage("one"), triage("two"), triage("three")


async def start(db: Database, spec: AgentSpec) -> int:
    return (await definitions.publish(db, TENANT, [spec], []))["agent", spec.name]


async def instructions(db: Database) -> str:
    found = (await definitions.current(db, TENANT, "agent"))["triage"]
    versions = (await at_hand.look(db, TENANT, ["triage", "nobody"])).current
    assert versions == {"triage": found.version}
    assert found.agent.model is not None
    return found.agent.model.instructions


async def test_until_somebody_deploys_the_worker_that_started_last_decides(db: Database) -> None:
    for spec, version in ((ONE, 1), (TWO, 2), (ONE, 1), (TWO, 2)):
        assert await start(db, spec) == version
        assert spec.model is not None
        assert await instructions(db) == spec.model.instructions


async def test_no_start_undoes_a_deployment_or_a_rollback(db: Database) -> None:
    await start(db, ONE)
    assert await definitions.deploy(db, TENANT, [TWO]) == [Moved("triage", 2, 1)]
    assert await start(db, ONE) == 1
    assert await start(db, THREE) == 3
    assert await instructions(db) == "two"
    assert await deployments.roll_back(db, TENANT, {"triage": 1}) == [Moved("triage", 1, None)]
    assert await start(db, TWO) == 2
    assert await instructions(db) == "one"
    assert await definitions.deploy(db, TENANT, [THREE]) == [Moved("triage", 3, 1)]


async def test_deploying_what_is_current_keeps_it_against_starts(db: Database) -> None:
    await start(db, ONE)
    await start(db, TWO)
    assert await definitions.deploy(db, TENANT, [TWO]) == []
    await start(db, ONE)
    assert await instructions(db) == "two"


async def test_rollbacks_go_back_step_by_step(db: Database) -> None:
    await start(db, ONE)
    await definitions.deploy(db, TENANT, [TWO])
    await definitions.deploy(db, TENANT, [THREE])
    assert await deployments.roll_back(db, TENANT, {"triage": 2}) == [Moved("triage", 2, 1)]
    assert await deployments.roll_back(db, TENANT, {"triage": 2}) == []
    assert await deployments.roll_back(db, TENANT, {"triage": 1}) == [Moved("triage", 1, None)]
    listed = await deployments.versions(db, TENANT, "triage")
    told = [(one.version, one.current, one.cause, one.previous) for one in listed]
    assert told == [(3, False, "deploy", 2), (2, False, "rollback", 1), (1, True, "rollback", None)]
    assert [one.version for one in await deployments.versions(db, TENANT)] == [1]
    assert await deployments.versions(db, "another") == []


async def test_an_unknown_version_moves_nothing(db: Database) -> None:
    await start(db, ONE)
    await definitions.publish(db, TENANT, [AgentSpec(name="other", app="desk")], [])
    await definitions.deploy(db, TENANT, [TWO])
    with pytest.raises(UnknownVersion, match="'other' has no definition 2"):
        await deployments.roll_back(db, TENANT, {"triage": 1, "other": 2})
    assert await instructions(db) == "two"


async def test_an_agent_at_work_is_not_given_tools_that_no_worker_has(db: Database) -> None:
    using = triage("use it", tools=("refund", "other"))
    await definitions.deploy(db, TENANT, [using, AgentSpec(name="other", app="desk")])
    another = triage("use both", tools=("refund", "other", "look"))
    await definitions.publish(db, TENANT, [], [ToolSpec(name="refund", app="desk", input_schema={})])
    with pytest.raises(NotDeployable, match="would use look, which"):
        await definitions.deploy(db, TENANT, [another])
    assert await instructions(db) == "use it"
    await definitions.publish(db, TENANT, [], [ToolSpec(name="look", app="desk", input_schema={})])
    assert len(await definitions.deploy(db, TENANT, [another])) == 1


async def test_of_many_at_once_each_counts_once(db: Database) -> None:
    await asyncio.gather(
        *(start(db, ONE) for _ in range(4)), *(definitions.deploy(db, TENANT, [TWO]) for _ in range(4))
    )
    assert await instructions(db) == "two"
    assert {one.version for one in await deployments.versions(db, TENANT, "triage")} == {1, 2}


async def test_just_the_versions_that_were_asked_for(db: Database) -> None:
    await start(db, ONE)
    await start(db, TWO)
    found = await definitions.exactly(db, TENANT, [("triage", 1), ("triage", 9), ("other", 1)])
    assert [(one.name, one.version, one.agent) for one in found] == [("triage", 1, ONE)]
    assert await definitions.exactly(db, TENANT, []) == []


async def test_what_a_worker_of_an_earlier_release_declared_is_current_in_its_newest_version(db: Database) -> None:
    await start(db, ONE)
    await start(db, TWO)
    async with db.connection() as connection:
        await connection.execute("delete from deployments")
    assert (await definitions.current(db, TENANT, "agent"))["triage"].version == 2
