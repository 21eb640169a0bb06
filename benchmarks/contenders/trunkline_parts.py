"""Trunkline's processes as a contender starts them: by the commands that anybody would use, with default settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from benchmarks.contenders.load import Asked
from trunkline.embedded.parts import gateway_answers
from trunkline.settings import Settings
from trunkline.store import definitions, migrate, workers
from trunkline.store.database import Database

APP = str(Path(__file__).with_name("trunkline_app.py"))
VERSIONS = ("trunkline", "nats-py", "psycopg", "uvloop")
LLM_CONCURRENCY = 1024  # a provider's limits are why the default is lower; this model has none
_JOIN_WITHIN = 120.0  # seconds


def settings_of(asked: Asked) -> Settings:
    return Settings(nats_url=asked.nats, database_url=SecretStr(asked.postgres))


async def start(asked: Asked, kinds: Sequence[str], *, gateway: int = 0) -> dict[str, int]:
    """The supervisor, a worker of each kind, and a gateway on that port unless it is 0; process ids by role, once all
    workers have joined. This process is the load.

    Raises:
        TimeoutError: a worker did not come.
    """
    await asyncio.to_thread(migrate.upgrade, asked.postgres, settings_of(asked).database_schema)
    commands: dict[str, tuple[str, ...]] = {"supervisor": ("supervisor",)}
    for number, kind in enumerate(kinds):
        earlier = kinds[:number].count(kind)
        commands[f"{kind}-{earlier + 1}" if earlier else kind] = ("worker", kind, APP)
    if gateway:
        commands["gateway"] = ("gateway",)
    pids = {"load": os.getpid()}
    for role, command in commands.items():
        pids[role] = await asyncio.to_thread(_run, asked, role, command, gateway)
    await _joined(asked, len(kinds))
    async with asyncio.timeout(_JOIN_WITHIN):
        while gateway and not await gateway_answers(f"http://127.0.0.1:{gateway}"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return pids


def _run(asked: Asked, role: str, command: Sequence[str], port: int) -> int:
    given = {
        "TRUNKLINE_DATABASE_URL": asked.postgres,
        "TRUNKLINE_NATS_URL": asked.nats,
        "TRUNKLINE_LOG_LEVEL": "error",
        "TRUNKLINE_PORT": str(port),
        "OPENAI_API_KEY": "none",
    }
    if asked.model:
        given |= {"TRUNKLINE_MODEL_API_BASE": asked.model, "TRUNKLINE_LLM_CONCURRENCY": str(LLM_CONCURRENCY)}
    log = (Path(asked.directory) / f"{role}.log").open("wb")
    program = [sys.executable, "-m", "trunkline.cli.main", *command]
    return subprocess.Popen(program, env={**os.environ, **given}, stdout=log, stderr=log).pid


async def _joined(asked: Asked, how_many: int) -> None:
    db = await Database.open(asked.postgres, size=1)
    try:
        async with asyncio.timeout(_JOIN_WITHIN):
            while len(await workers.list_workers(db)) < how_many:  # noqa: ASYNC110 - rows of others
                await asyncio.sleep(0.05)
            while not await definitions.current(db, settings_of(asked).tenant, "agent"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await db.close()
