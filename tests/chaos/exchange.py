"""A whole exchange of processes over servers of its own, any of which can be killed, stopped, or cut off."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
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

from trunkline.domain import codec
from trunkline.domain.effects import Begun
from trunkline.embedded.stack import Stack
from trunkline.store import migrate, workers
from trunkline.store.audit import audit
from trunkline.store.database import Database, Unreachable
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import ToolCall

HERE = Path(__file__).parent
APP = str(HERE / "chaos_app.py")
WITHIN = 90.0  # seconds in which everything must be done
JOINING = ("agents", "tools", "llm", "supervisor")  # what has a row in ``workers``

_GUARD = """
trap '' TERM INT
read -r _ && exit 0
kill -s KILL 0
"""


@dataclass
class Exchange:
    """What a test does to it, and asks of it."""

    stack: Stack
    model: OpenAIServer
    ledger: Path
    port: int
    guard: subprocess.Popen[bytes]  # leads the group of all processes, and ends it when this process is gone
    settings: dict[str, Any] = field(default_factory=dict)  # of all processes, beside those of the servers
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    repeated: Counter[str] = field(default_factory=Counter)  # tries in vain to "publish" or "post"; posts that "failed"

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str, *, fault: str = "", **settings: Any) -> None:
        """``agents.1`` is an agent worker, ``gateway`` the gateway, and so on. ``fault`` is where it dies by itself;
        ``settings`` are its own, beside those of all.
        """
        kind = name.partition(".")[0]
        arguments = ["worker", kind, APP] if kind in ("agents", "tools", "llm") else [kind]
        environment = self.stack.environment(
            model="openai/scripted", model_api_base=self.model.url, metrics_port=0, port=self.port, log_level="warning",
            fault=fault, **{"blocked_after": 2.0, "llm_concurrency": 16, **self.settings, **settings},
        )  # fmt: skip
        environment |= {"CHAOS_LEDGER": str(self.ledger), "CHAOS_CLOCK": str(self.clock_of(name))}
        log = (self.stack.directory / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, str(HERE / "process.py"), *arguments],
            env={**os.environ, **environment}, stdout=log, stderr=log, process_group=self.guard.pid,
        )  # fmt: skip
        log.close()

    def clock_of(self, name: str) -> Path:
        """The file that says by how many seconds the wall clock of this process is wrong."""
        return self.stack.directory / f"{name}.clock"

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

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.guard.communicate(b"\n")

    async def joined(self, *names: str, mortal: bool = False) -> None:
        """Wait until the workers of this name are at work, or (``mortal``) have died already, as they were told to."""
        pids = {self.processes[name].pid: name for name in names if name.partition(".")[0] in JOINING}

        async def all_there() -> bool:
            gone = {pid for pid, name in pids.items() if self.processes[name].poll() is not None}
            assert mortal or not gone, f"{', '.join(pids[pid] for pid in gone)} ended\n{self.logs()}"
            with suppress(Unreachable):
                return pids.keys() <= gone | {one.pid for one in await workers.list_workers(self.db)}
            return False

        await self.until(all_there, f"{', '.join(names)} are there")

    async def ended(self, *names: str) -> None:
        """Wait until these processes have ended by themselves."""

        async def all_gone() -> bool:
            return all(self.processes[name].poll() is not None for name in names)

        await self.until(all_gone, f"{', '.join(names)} have ended")

    async def replaced(self, name: str, by: str = "") -> None:
        """A rollout: ``by`` takes over, and the process is asked to end, and does. One of which there is only one at a
        time (no ``by``) ends before it is started again.
        """
        if by:
            self.start(by)
            await self.joined(by)
        self.processes[name].terminate()
        await self.ended(name)
        assert self.processes.pop(name).returncode == 0, self.log(name)[-1500:]
        if not by:
            self.start(name)

    # --- what people do ---------------------------------------------------------------------------------------------

    async def publish(self, numbers: range) -> None:
        """Publish an event for each order, again and again until JetStream has it: NATS may be away."""
        async with self.nats() as client:
            for number in numbers:
                event = {"specversion": "1.0", "id": str(number), "source": "test", "type": "order.placed"}
                body = json.dumps({**event, "data": {"number": number}}).encode()
                while not await self._published(client, body):
                    self.repeated["publish"] += 1
                    await asyncio.sleep(0.1)

    @asynccontextmanager
    async def nats(self) -> AsyncIterator[Any]:
        """A NATS client of somebody outside."""
        servers = str(self.settings.get("nats_url", self.stack.nats.url)).split(",")

        async def in_vain(_: Exception) -> None:
            self.repeated["publish"] += 1

        client = await nats.connect(servers, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=in_vain)
        try:
            yield client
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
                while not await self._posted(client, path, body, key):
                    self.repeated["post"] += 1
                    await asyncio.sleep(0.1)

    async def _posted(self, client: httpx2.AsyncClient, path: str, body: Any, key: str) -> bool:
        try:
            answer = await client.post(path, json=body, headers={"Idempotency-Key": key})
        except httpx2.HTTPError:
            return False
        failed = "urn:trunkline:fault-injected" in answer.text  # it was told to: as if it were away
        self.repeated["failed"] += failed
        assert failed or answer.status_code < 400 or answer.status_code == 503, answer.text
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

    async def counts(self, agent: str = "orders") -> Counter[str]:
        """Runs of the agent by status."""
        return Counter(
            dict(await self.ask("select status, count(*) from runs where agent = %s group by status", agent))
        )

    async def worker_of(self, name: str) -> str:
        """The worker id of a process."""
        found = await workers.list_workers(self.db, gone=600)
        return next(one.worker for one in found if one.pid == self.processes[name].pid)

    async def busiest(self, kind: str) -> tuple[str, int]:
        """The name of the worker of this kind that holds most, and how much that is."""
        names = {process.pid: name for name, process in self.processes.items()}
        found = [one for one in await workers.list_workers(self.db) if one.kind == kind and one.pid in names]
        most = max(found, key=lambda one: one.held)
        return names[most.pid], most.held

    async def until(self, check: Any, what: str) -> Any:
        """Look until ``check()`` gives something true."""
        try:
            async with asyncio.timeout(WITHIN):
                while not (found := await check()):  # noqa: ASYNC110 - other processes have no events of ours
                    await asyncio.sleep(0.05)
        except TimeoutError:
            parked = await self.ask("select id::text, parked_reason, parked_detail from runs where status = 'parked'")
            raise AssertionError(f"{what} did not come true; {await self.counts()} {parked}\n{self.logs()}") from None
        return found

    def effects(self) -> list[Begun]:
        """The ledger that the tools keep, outside."""
        lines = self.ledger.read_bytes().splitlines() if self.ledger.exists() else []
        return [Begun.model_validate(codec.loads(line)) for line in lines]

    def log(self, name: str) -> str:
        """All that this process said."""
        return (self.stack.directory / f"{name}.log").read_text()

    def logs(self) -> str:
        """The end of what each process said."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.stack.directory.glob("*.log"))
        )


@asynccontextmanager
async def exchange(names: list[str], faults: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[Exchange]:
    """An exchange with these processes, all of them ready; some of them with a fault."""
    async with servers() as running:
        running.settings = settings
        for name in names:
            running.start(name, fault=(faults or {}).get(name, ""))
        await running.joined(*names)
        yield running


@asynccontextmanager
async def servers() -> AsyncIterator[Exchange]:
    """An exchange of which only the servers run yet."""
    stack = Stack()
    await asyncio.to_thread(stack.start)
    try:
        async with OpenAIServer(_advise, latency=0.15) as model:
            await asyncio.to_thread(migrate.upgrade, stack.postgres.url)
            running = Exchange(stack, model, stack.directory / "effects.jsonl", free_port(), _guard())
            running.db = await Database.open(stack.postgres.url, size=2, wait=30)
            try:
                yield running
            finally:
                await asyncio.to_thread(running.stop)
                await running.db.close()
    finally:
        await asyncio.to_thread(stack.stop)


def _guard() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", _GUARD], stdin=subprocess.PIPE, process_group=0)


def _advise(messages: list[dict[str, Any]], _tools: Any, _format: Any) -> Any:
    """First it wants to know more; then it advises."""
    match = re.search(r"number (\d+)", next(one["content"] for one in messages if one["role"] == "user"))
    assert match is not None
    if messages[-1]["role"] == "tool":
        return f"advice on {match[1]}: {messages[-1]['content']}"
    return ToolCall("look_up", {"number": int(match[1])})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def nothing_is_wrong(running: Exchange, orders: range, expected: Any) -> None:
    """Nothing lost, nothing recorded done again, nothing wrong in any journal: by Postgres, and by the ledgers."""
    outputs = dict(await running.ask("select key::int, output from runs where agent = 'orders'"))
    assert {number: outputs.get(number) for number in orders} == {number: expected(number) for number in orders}
    await nothing_is_broken(running)


async def nothing_is_broken(running: Exchange) -> None:
    """No promise was broken, whatever the runs came to, and nothing is under way."""
    findings = await audit(running.db, "default", running.effects())
    assert findings.violations == [], findings.violations
    assert findings.unfinished == [], findings.unfinished
    await _model_calls(running)


_MODEL_STEPS = """
select r.input #>> '{}', row_number() over (partition by j.run order by j.version),
       extract(epoch from j.recorded_at)::float8
from journal j join runs r on r.id = j.run
where r.agent = 'adviser' and j.type = 'StepCompleted' and j.body->>'key' like 'llm:%'
"""


async def _model_calls(running: Exchange) -> None:
    """No model call was made after its answer was recorded."""
    rows = await running.ask(_MODEL_STEPS.replace("%", "%%"))
    recorded_at = {(text, turn): at for text, turn, at in rows}
    asked = [(_turn_of(call.messages), call.at) for call in running.model.paid_calls]
    late = [(turn, at - recorded_at[turn]) for turn, at in asked if at > recorded_at[turn] + MODEL_CALL_BEGINS]
    assert late == [], late


MODEL_CALL_BEGINS = 0.5  # seconds at most from the owner's "go" to the call: litellm prepares it


def _turn_of(messages: list[dict[str, Any]]) -> tuple[str, int]:
    """The conversation, and which call of it this is."""
    return next(one["content"] for one in messages if one["role"] == "user"), 2 if messages[-1]["role"] == "tool" else 1
