"""The whole exchange behind PgBouncer in transaction mode: ``make pooler``, which needs it on the path."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from trunkline import Client
from trunkline.domain.errors import NotConfigured
from trunkline.embedded.children import Children
from trunkline.embedded.parts import all_joined
from trunkline.embedded.stack import Stack
from trunkline.store.database import Database

pytestmark = pytest.mark.pooler

APP = str(Path(__file__).with_name("pooled_app.py"))
RUNS = 40
PARTS: dict[str, tuple[str, ...]] = {
    "supervisor": ("supervisor",),
    "agents.1": ("worker", "agents", APP),
    "agents.2": ("worker", "agents", APP),
    "tools.1": ("worker", "tools", APP),
}


def command(environment: dict[str, str], *arguments: str) -> str:
    """What a command of ours says."""
    program = [sys.executable, "-m", "trunkline.cli.main", *arguments]
    done = subprocess.run(program, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_runs_go_through_it_and_their_workers_may_die(
    stack: Stack, pooler: Any, namespace: str, eventually: Any
) -> None:
    own = {"database_url": pooler.url, "database_pooled": True, "namespace": namespace, "metrics_port": -1}
    environment = stack.environment(log_level="warning", **own)
    await asyncio.to_thread(command, environment, "migrate")
    settings = stack.settings(**{**own, "database_url": SecretStr(pooler.url)})
    said: list[str] = []
    async with Children(environment, lambda name, line: said.append(f"{name}: {line}")) as children:
        for name, arguments in PARTS.items():
            children.add(name, *arguments)
        db = await Database.of(settings)
        await eventually(lambda: all_joined(db, PARTS), timeout=90)
        async with await Client.direct(settings=settings) as tl:
            runs = [await tl.start("orders", number, key=str(number)) for number in range(RUNS)]
            await eventually(lambda: _waiting(db), timeout=60)
            children.kill("agents.1")
            for run in runs:
                await run.signal("go", "now")
            results = await asyncio.gather(*(run.result(timeout=60) for run in runs))
        most = pooler.servers()
        await db.close()
    assert results == [f"shipped {number} {2 * number} {number + 1} now" for number in range(RUNS)], said
    assert most <= 4, "clients share the pooler's connections"
    assert "0 violations" in await asyncio.to_thread(command, environment, "check")


async def _waiting(db: Database) -> bool:
    """Whether half of the runs wait for their signal."""
    async with db.connection() as connection:
        cursor = await connection.execute("select count(*) from runs where agent = 'orders' and status = 'waiting'")
        return (await cursor.fetchone() or (0,))[0] >= RUNS / 2


async def test_a_schema_that_sessions_would_not_find_is_refused(pooler: Any) -> None:
    with pytest.raises(NotConfigured, match='alter role … set search_path = "elsewhere"'):
        await Database.open(pooler.url, schema="elsewhere", pooled=True)
    with psycopg.connect(pooler.behind, autocommit=True) as connection:
        connection.execute(f"create role {pooler.name} login; alter role {pooler.name} set search_path = elsewhere")
    past = pooler.behind.replace("//postgres@", f"//{pooler.name}@")
    await (await Database.open(past, schema="elsewhere", pooled=True)).close()
