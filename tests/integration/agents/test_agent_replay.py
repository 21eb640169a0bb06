"""``trunkline runs replay``: real runs held against code that is not at work yet."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.agents.agent_app import app
from integration.agents.changed_app import app as changed
from integration.agents.conftest import Exchange, Worker
from trunkline.client.replaying import Wanted, held_against
from trunkline.domain.errors import UnknownRun
from trunkline.domain.ids import new_id
from trunkline.domain.status import EnvelopeKind

HERE = Path(__file__).parent


async def waiting(exchange: Exchange, *keys: str) -> list[str]:
    runs = [await exchange.request("patient", key, "well") for key in keys]
    for run in runs:
        await exchange.until(run, "waiting")
    return runs


async def trunkline(exchange: Exchange, *arguments: str) -> tuple[int, str, str]:
    settings = exchange.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trunkline.cli.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "TRUNKLINE_DATABASE_URL": settings.database_url.get_secret_value(),
            "TRUNKLINE_DATABASE_SCHEMA": settings.database_schema,
        },
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert b"Traceback" not in err
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_says_which_runs_a_change_would_break(exchange: Exchange, worker: Worker) -> None:
    (run,) = await waiting(exchange, "one")
    status, out, _ = await trunkline(exchange, "runs", "replay", run, "--against", str(HERE / "agent_app.py"))
    assert (status, "1 fit, 0 diverge." in out) == (0, True)
    status, out, _ = await trunkline(exchange, "runs", "replay", run, "--against", str(HERE / "changed_app.py"))
    assert (status, "diverges" in out, "double" in out, "triple" in out) == (1, True, True, True)
    status, out, _ = await trunkline(
        exchange, "runs", "replay", "--all-open", "--against", str(HERE / "changed_app.py"), "--json"
    )
    (item,) = json.loads(out)["items"]
    assert (status, item["run"], item["agent"], item["key"]) == (1, run, "patient", "one")
    assert "triple" in item["difference"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("some-run",),
        ("--all-open",),
        ("--against", "app.py"),
        ("some-run", "--all-open", "--against", "app.py"),
        ("some-run", "--agent", "patient", "--against", "app.py"),
    ],
)
async def test_what_is_asked_wrongly_is_refused(exchange: Exchange, arguments: tuple[str, ...]) -> None:
    status, _, err = await trunkline(exchange, "runs", "replay", *arguments)
    assert (status, "--against APP" in err) == (2, True)


async def test_nothing_is_written(exchange: Exchange, worker: Worker) -> None:
    (run,) = await waiting(exchange, "still")
    before = await exchange.entries(run), await exchange.until(run, "waiting")
    for code in (app, changed):
        await held_against(exchange.db, "default", code, Wanted(run=run))
    assert (await exchange.entries(run), await exchange.until(run, "waiting")) == before


async def test_all_that_is_open_is_looked_at_in_pages_and_within_bounds(exchange: Exchange, worker: Worker) -> None:
    runs = await waiting(exchange, "a", "b", "c")
    await exchange.until(await exchange.request("tally", "ended", 1), "completed")
    parent = await exchange.request("waiting_parent", "p", "well")
    await exchange.until(parent, "waiting")

    async def look(**wanted: Any) -> tuple[list[str], bool]:
        found = await held_against(exchange.db, "default", app, Wanted(**wanted))
        assert found["diverged"] == 0
        return [item["run"] for item in found["items"]], found["more"]

    assert await look(limit=2) == (runs[:2], True)
    assert await look(limit=1, agent="waiting_parent") == ([parent], False)
    assert (await look(agent="tally")) == ([], False)


async def test_ended_runs_are_held_against_the_state_that_they_began_with(exchange: Exchange, worker: Worker) -> None:
    runs = [await exchange.request("tally", "counted", number) for number in (1, 2, 3)]
    for run in runs:
        await exchange.until(run, "completed")
    for run in runs:
        assert (await held_against(exchange.db, "default", app, Wanted(run=run)))["fits"] == 1
    (item,) = (await held_against(exchange.db, "default", changed, Wanted(run=runs[0])))["items"]
    assert "no agent 'tally'" in item["difference"]


async def test_a_run_that_is_not_there_is_named(exchange: Exchange) -> None:
    with pytest.raises(UnknownRun):
        await held_against(exchange.db, "default", app, Wanted(run=new_id()))


async def test_an_instance_that_cannot_be_read_is_told_and_the_others_are_looked_at(
    exchange: Exchange, worker: Worker
) -> None:
    broken, sound = await waiting(exchange, "broken", "sound")
    async with exchange.db.connection() as connection:
        await connection.execute("update instances set head = head + 1 where key = 'broken'")
    found = await held_against(exchange.db, "default", app, Wanted())
    assert (found["fits"], found["diverged"]) == (1, 1)
    told = {item["run"]: item["difference"] for item in found["items"]}
    assert "the head is" in told[broken]
    assert told[sound] == ""


async def test_runs_behind_a_snapshot_and_before_it(exchange: Exchange) -> None:
    settings = exchange.settings.model_copy(update={"snapshot_after": 1})
    async with Worker(settings):
        (first,) = await waiting(exchange, "snapped")
        await exchange.post("patient", "snapped", EnvelopeKind.SIGNAL, {"name": "go", "data": "on"}, run=first)
        await exchange.until(first, "completed")
        (second,) = await waiting(exchange, "snapped")
    for run in (first, second):
        assert (await held_against(exchange.db, "default", app, Wanted(run=run)))["fits"] == 1
        assert (await held_against(exchange.db, "default", changed, Wanted(run=run)))["diverged"] == 1
    async with exchange.db.connection() as connection, connection.transaction():
        await connection.execute("set local trunkline.retention = 'on'")
        await connection.execute("delete from journal where run = %s", [first])
        await connection.execute("update snapshots set floor = version")
    (item,) = (await held_against(exchange.db, "default", app, Wanted(run=first)))["items"]
    assert "its beginning was removed" in item["difference"]
    assert (await held_against(exchange.db, "default", app, Wanted(run=second)))["fits"] == 1
