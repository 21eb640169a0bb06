"""What the demo knows: from Trunkline's journal, with SQL as anybody can, and from the model's log outside."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from trunkline.store.database import Database
from trunkline.testing.openai_server import OpenAIServer

_OPEN_STEPS = """
select s.instance::text || ' ' || s.run || ' ' || (s.body->>'key')
from journal s join runs r on r.id = s.run and r.ended_at is null
where s.type = 'StepScheduled' and s.body->>'kind' = %s and not exists (
    select from journal e where e.instance = s.instance and e.run = s.run and e.body->>'key' = s.body->>'key'
    and e.type in ('StepCompleted', 'StepFailed', 'StepCancelled'))
"""
_OUTCOMES = """
select instance::text || ' ' || run || ' ' || (body->>'key'), extract(epoch from recorded_at)::float8
from journal where type in ('StepCompleted', 'StepFailed') and recorded_at > to_timestamp(%s)
"""
_HELD = """
select i.id::text, i.epoch from instances i
where i.owner = %s and exists (select from runs r where r.instance = i.id and r.status = 'running')
"""
_TAKEN_ON = """
select instance::text, extract(epoch from min(recorded_at))::float8
from journal where epoch > %s and instance::text = %s group by instance
"""
_MODEL_STEPS = """
select r.input #>> '{}', row_number() over (partition by j.run order by j.version),
       extract(epoch from j.recorded_at)::float8
from journal j join runs r on r.id = j.run
where r.agent = 'triage' and j.type = 'StepCompleted' and j.body->>'key' like 'llm:%'
"""
_MODEL_SECOND_OUTCOMES = """
select count(*) from journal o
where o.type in ('StepCompleted', 'StepFailed', 'StepRetried') and o.body->>'key' like 'llm:%' and exists (
    select from journal e where e.instance = o.instance and e.run = o.run and e.body->>'key' = o.body->>'key'
    and e.version < o.version and e.type in ('StepCompleted', 'StepFailed'))
"""
_MODEL_RETRIES = "select count(*) from journal where type = 'StepRetried' and body->>'key' like '%llm:%'"
_PROGRESS = """
select (select count(*) from runs where agent = 'orders'),
       (select count(*) from runs where agent = 'orders' and status = 'completed'),
       (select count(*) from journal where type = 'StepCompleted' and body->>'key' like '%tool:%'),
       (select count(*) from journal where type = 'StepCompleted' and body->>'key' like '%llm:%'),
       (select count(*) from journal where type = 'StepRetried'),
       (select coalesce(sum(cost_usd), 0)::float8 from runs)
"""


BEGUN = 1.0  # seconds at most from the permission for a call to the call: what is recorded between cannot stop it

Call = tuple[str, int]  # an order, and which of its model calls


@dataclass(frozen=True)
class Progress:
    """Counts so far; ``cost`` in US dollars."""

    accepted: int
    completed: int
    tool_steps: int
    model_calls: int
    repeated_attempts: int
    cost: float


@dataclass
class Killed:
    """A worker that was killed at ``at`` (Postgres's clock) with work in its hands; ``waits`` maps it to its epoch.

    ``lost`` is what nobody went on with.
    """

    what: str
    held: int
    at: float
    waits: dict[str, int]
    delays: list[float] = field(default_factory=list)  # seconds from the kill to the next journal entry of each
    lost: int = 0


class Facts:
    """Questions about the exchange."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def progress(self) -> Progress:
        return Progress(*(await self._rows(_PROGRESS))[0])

    async def journal_of(self, agent: str, key: str) -> list[tuple[int, str, dict[str, Any]]]:
        """(version, type, body) of an instance's entries."""
        sql = "select version, type, body from journal where instance = (select id from instances where agent = %s"
        return await self._rows(sql + " and key = %s) order by version", agent, key)

    async def in_hands(self, kind: str, worker: str) -> dict[str, int]:
        """What a worker of this kind may have in its hands: instances with their epochs, or open steps."""
        if kind == "agents":
            return dict(await self._rows(_HELD, worker))
        return {row[0]: 0 for row in await self._rows(_OPEN_STEPS, {"tools": "tool", "llm": "llm"}[kind])}

    async def look_after(self, killed: Killed) -> None:
        """Note when what the killed worker had went on.

        Of steps nobody knows who had which: those that took longest count as the killed worker's.
        """
        if killed.what == "agents":
            found = [row for one, epoch in killed.waits.items() for row in await self._rows(_TAKEN_ON, epoch, one)]
        else:
            found = [row for row in await self._rows(_OUTCOMES, killed.at) if row[0] in killed.waits]
        delays = sorted((at - killed.at for _, at in found), reverse=True)
        killed.lost = len(killed.waits) - len(found)
        killed.delays = delays if killed.what == "agents" else delays[: killed.held]

    async def model_calls(self, server: OpenAIServer | None) -> tuple[int | None, int, int]:
        """Model calls that were made and not recorded; recorded and made again; made again before they were recorded.

        A provider does not show us its log: then only the journal is asked. It cannot tell the first number, and of
        the last it knows what the owner sent out again, not what the broker delivered again.
        """
        again = int((await self._rows(_MODEL_SECOND_OUTCOMES))[0][0])
        if server is None:
            return None, again, int((await self._rows(_MODEL_RETRIES))[0][0])
        recorded = {(order_of(text), turn): at for text, turn, at in await self._rows(_MODEL_STEPS)}
        made = [((order_of(call.messages[1]["content"]), _turn(call.messages)), call.at) for call in server.paid_calls]
        missing, late, early = compare(recorded, made)
        return missing, late + again, early

    async def now(self) -> float:
        return await self._db.now()

    async def _rows(self, sql: str, *parameters: Any) -> list[Any]:
        async with self._db.connection() as connection:
            cursor = await connection.execute(sql.encode(), parameters or None)
            rows: list[Any] = await cursor.fetchall()
        return rows


def compare(recorded: dict[Call, float], made: list[tuple[Call, float]]) -> tuple[int, int, int]:
    """The journal against the model's own log: calls without a record, made after it, and made again before it."""
    calls = Counter(call for call, _ in made)
    late = sum(call in recorded and at > recorded[call] + BEGUN for call, at in made)
    return len(calls.keys() - recorded.keys()), late, calls.total() - len(calls) - late


def order_of(text: str) -> str:
    """The order that a question to the model is about."""
    match = re.search(r"Order (\S+) over", text)
    return str(match[1]) if match else text


def _turn(messages: list[dict[str, Any]]) -> int:
    return 1 + len([message for message in messages if message["role"] == "assistant"])
