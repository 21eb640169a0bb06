"""A whole exchange of processes over servers of its own, any of which can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import nats

from trunkline.domain.ids import derived_id
from trunkline.embedded.stack import Stack
from trunkline.store import migrate, workers
from trunkline.store.audit import audit
from trunkline.store.database import Database, Unreachable
from trunkline.testing.openai_server import OpenAIServer

HERE = Path(__file__).parent
APP = str(HERE / "chaos_app.py")
WITHIN = 90.0  # seconds in which everything must be done
BEGUN = 1.0  # seconds at most from the owner's "go" to the doing: an outcome that is recorded between is too late


@dataclass
class Exchange:
    """What a test does to it, and asks of it."""

    stack: Stack
    model: OpenAIServer
    ledger: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str, *, fault: str = "") -> None:
        """``agents.1`` is an agent worker, ``gateway`` the gateway, and so on. ``fault`` is where it dies by itself."""
        kind = name.partition(".")[0]
        arguments = ["worker", kind, APP] if kind in ("agents", "tools", "llm") else [kind]
        environment = self.stack.environment(
            model="openai/scripted", model_api_base=self.model.url, metrics_port=0, port=self.port, log_level="warning",
            fault=fault, blocked_after=2.0,
        )  # fmt: skip
        log = (self.stack.directory / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "trunkline.cli.main", *arguments],
            env={**os.environ, **environment, "CHAOS_LEDGER": str(self.ledger)},
            stdout=log, stderr=log, process_group=0,
        )  # fmt: skip
        log.close()

    def kill(self, name: str) -> None:
        """SIGKILL: to a process, or to one of the servers."""
        if name == "nats":
            self.stack.nats.kill()
        elif name == "postgres":
            self.stack.postgres.kill()
        else:
            process = self.processes.pop(name)
            process.kill()
            process.wait()

    def wipe(self) -> None:
        """NATS dies, and everything that it kept is gone."""
        self.stack.nats.kill()
        self.stack.nats.wipe()

    def revive(self, name: str) -> None:
        """What was killed comes back."""
        if name == "nats":
            self.stack.nats.start()
        elif name == "postgres":
            self.stack.postgres.start()
        else:
            self.start(name)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- what people do ---------------------------------------------------------------------------------------------

    async def publish(self, numbers: range) -> None:
        """Publish an event for each order, again and again until JetStream has it: NATS may be away."""
        client = await nats.connect(self.stack.nats.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        try:
            for number in numbers:
                event = {"specversion": "1.0", "id": str(number), "source": "test", "type": "order.placed"}
                body = json.dumps({**event, "data": {"number": number}}).encode()
                while not await self._published(client, body):  # noqa: ASYNC110 - it is the server that is awaited
                    await asyncio.sleep(0.1)
        finally:
            await client.close()

    async def _published(self, client: Any, body: bytes) -> bool:
        try:
            await client.jetstream().publish("tl.default.event.order.placed", body, timeout=1)
        except Exception:  # noqa: BLE001 - nats-py raises many things while the server is away
            return False
        return True

    async def post(self, paths: list[tuple[str, Any, str]]) -> None:
        """POST each (path, body, idempotency key) until the gateway has taken it: it may be away, or Postgres."""
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=5) as client:
            for path, body, key in paths:
                while not await self._posted(client, path, body, key):  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.1)

    async def _posted(self, client: httpx2.AsyncClient, path: str, body: Any, key: str) -> bool:
        try:
            answer = await client.post(path, json=body, headers={"Idempotency-Key": key})
        except httpx2.HTTPError:
            return False
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert answer.status_code < 400 or answer.status_code == 503, answer.text
        return answer.status_code == 202

    # --- what is so -------------------------------------------------------------------------------------------------

    async def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows from Postgres; none while it is away."""
        with suppress(Unreachable):
            async with self.db.connection() as connection:
                cursor = await connection.execute(sql.encode(), parameters or None)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                return rows
        return []

    async def counts(self) -> Counter[str]:
        """Orders by status."""
        rows = await self.ask("select status, count(*) from runs where agent = 'orders' group by status")
        return Counter(dict(rows))

    async def busiest(self, kind: str) -> tuple[str, int]:
        """The name of the worker of this kind that holds most, and how much that is."""
        found = [one for one in await workers.list_workers(self.db) if one.kind == kind and one.dead_at is None]
        most = max(found, key=lambda one: one.held)
        name = next(name for name, process in self.processes.items() if process.pid == most.pid)
        return name, most.held

    async def until(self, check: Any, what: str) -> Any:
        """Look until ``check()`` gives something true."""
        try:
            async with asyncio.timeout(WITHIN):
                while not (found := await check()):  # noqa: ASYNC110 - other processes have no events of ours
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{what} did not come true; {await self.counts()}\n{self.logs()}") from None
        return found

    def logs(self) -> str:
        """The end of what each process said."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.stack.directory.glob("*.log"))
        )

    async def connect(self) -> None:
        self.db = await Database.open(self.stack.postgres.url, size=2, wait=30)


@asynccontextmanager
async def exchange(names: list[str], faults: dict[str, str] | None = None) -> AsyncIterator[Exchange]:
    """An exchange with these processes, all of them ready; some of them with a fault."""
    stack = Stack()
    await asyncio.to_thread(stack.start)
    try:
        async with OpenAIServer(_advise, latency=0.3) as model:
            await asyncio.to_thread(migrate.upgrade, stack.postgres.url)
            running = Exchange(stack, model, stack.directory / "effects.jsonl", _free_port())
            for name in names:
                running.start(name, fault=(faults or {}).get(name, ""))
            try:
                await running.connect()
                await running.until(lambda: _ready(running, names), "all processes are ready")
                yield running
            finally:
                await asyncio.to_thread(running.stop)
                await running.db.close()
    finally:
        await asyncio.to_thread(stack.stop)


async def _ready(running: Exchange, names: list[str]) -> bool:
    wanted = sum("." in name for name in names)
    joined = sum(one.kind in ("agents", "tools", "llm") for one in await workers.list_workers(running.db))
    return joined == wanted


def _advise(messages: list[dict[str, Any]], _tools: Any, _format: Any) -> str:
    match = re.search(r"number (\d+)", messages[-1]["content"])
    assert match is not None
    return f"advice on {match[1]}"


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def nothing_is_wrong(running: Exchange, orders: range, expected: Any) -> None:
    """Nothing lost, nothing recorded done again, nothing wrong in any journal: by Postgres, and by the ledger."""
    outputs = dict(await running.ask("select key::int, output from runs where agent = 'orders'"))
    assert outputs == {number: expected(number) for number in orders}
    findings = await audit(running.db, "default")
    assert findings.violations == []
    assert findings.unfinished == []
    await _effects(running, orders)
    await _model_calls(running)


async def _effects(running: Exchange, orders: range) -> None:
    """Every payment was asked for under one key; no step was begun after its outcome was recorded, or unasked."""
    lines = [json.loads(line) for line in running.ledger.read_text().splitlines()]
    steps = await running.ask(
        "select s.run::text, s.body->>'key', extract(epoch from e.recorded_at)::float8 from journal s"
        " join journal e on e.instance = s.instance and e.run = s.run and e.body->>'key' = s.body->>'key'"
        " where s.type = 'StepScheduled' and s.body->>'kind' = 'tool' and e.type = 'StepCompleted'"
    )
    recorded_at = {derived_id("step", run, key): at for run, key, at in steps}
    unasked = [line for line in lines if line["key"] not in recorded_at]
    again = [line for line in lines if line["key"] in recorded_at and line["at"] > recorded_at[line["key"]] + BEGUN]
    assert (unasked, again) == ([], [])
    assert len({line["key"] for line in lines if line["what"] == "pay"}) == len(orders)


async def _model_calls(running: Exchange) -> None:
    """No model call was made after its answer was recorded."""
    rows = await running.ask(
        "select r.input #>> '{}', extract(epoch from j.recorded_at)::float8 from journal j join runs r on r.id = j.run"
        " where r.agent = 'adviser' and j.type = 'StepCompleted'"
    )
    recorded_at = dict(rows)
    asked = [(call.messages[-1]["content"], call.at) for call in running.model.paid_calls]
    late = [(text, at - recorded_at[text]) for text, at in asked if at > recorded_at[text] + BEGUN]
    assert late == []
