"""Garbage and hostile messages on every subject, while orders come in: nobody dies of it, and nothing goes round."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from chaos.roster import PATIENT_LEASE, nobody_died

NAMES = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]
NOBODY = "00000000-0000-7000-8000-000000000000"
ROUNDS = 2
MOST_DELIVERIES = 5  # of what nobody can say "go" to

_WAKE = {"tenant": "default", "agent": "orders", "instance": NOBODY}
_ITEM = {
    **_WAKE, "run": NOBODY, "step": "tool:fetch#1", "version": 1, "attempt": 1, "epoch": 1, "kind": "tool",
    "reply": f"tl.default.reply.{NOBODY}", "name": "fetch", "args": {"number": "no number"}, "effect": "pure",
    "idempotency_key": NOBODY, "timeout": 1.0, "published_at": 0,
}  # fmt: skip
_OUTCOME = {**_WAKE, "run": NOBODY, "step": "tool:fetch#1", "attempt": 1, "worker": "x", "value": 1}
_EVENT = {"specversion": "1.0", "id": "bad", "source": "poison", "type": "order.placed", "data": {"number": {}}}
_BEAT = {"worker": "nobody", "kind": "agents", "host": "h", "pid": 1, "started_at": 0}
_PERMIT = {**_WAKE, "run": NOBODY, "step": "s", "attempt": 1, "epoch": 1, "worker": "x", "execution": "x"}

# What is well formed goes with what it is tried with: the same bodies of wrong types, cut off, too large, too deep.
GARBAGE = [
    b"", b"null", b"[]", b'"text"', b"{", b'{"tenant": ', b"\x00\xff\xfe\x80", b"NaN", b"1e999", b'{"tenant": NaN}',
    b"[" * 50_000, b'{"a":' * 5_000, b'{"tenant": "\\ud800"}', b'{"tenant": "\\u0000"}', b'"' + b"x" * 900_000 + b'"',
]  # fmt: skip

STORED = {
    "tl.default.event.order.placed": _EVENT,
    "tl.default.event.who.knows": {**_EVENT, "type": "who.knows"},
    "tl.nobody.event.order.placed": _EVENT,
    "tl.default.inbox.orders": _WAKE,
    "tl.default.inbox.tally": {**_WAKE, "agent": "nobody"},
    "tl.default.work.tool.chaos.fetch": _ITEM,
    "tl.default.work.tool.chaos.ship": {**_ITEM, "name": "ship", "effect": "unsafe", "step": "tool:ship#1"},
    "tl.default.work.llm.default": {**_ITEM, "kind": "llm", "name": "openai/scripted", "step": "llm:1"},
    "tl.default.reply.{worker}": _OUTCOME,
    "tl.default.reply.nobody": _OUTCOME,
}
ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.TL_{stream}.x"
CORE = {
    "tl.heartbeat.nobody": _BEAT,
    "tl.heartbeat.{worker}": _BEAT,
    "tl.default.permit.orders": _PERMIT,
    "tl.worker.{worker}.permit": _PERMIT,
    "tl.worker.{worker}.wake": _WAKE,
    f"tl.default.cancel.{NOBODY}": {"step": "s"},
    f"tl.default.ended.{NOBODY}": {"run": NOBODY, "status": "completed"},
    ADVISORY.format(stream="WORK"): {"id": "x", "type": "t", "stream": "TL_WORK", "consumer": "x", "stream_seq": 1},
    ADVISORY.format(stream="EVENTS"): {"id": "y", "type": "t", "stream": "nowhere", "consumer": "x", "stream_seq": -1},
}


async def test_orders_complete_and_what_could_not_be_taken_is_kept() -> None:
    async with exchange(NAMES, max_deliver=MOST_DELIVERIES, lease=PATIENT_LEASE) as running:
        async with orders_come(running) as load:
            worker = await running.worker_of("agents.1")
            for _ in range(ROUNDS):
                await _poison(running, worker, await _an_order(running))
                await load.goes_on()
        await running.until(lambda: _is_quiet(running), "all of it is off the streams")
        await nobody_died(running)
        kept = dict(await running.ask("select source, count(*) from dead_letters group by source"))
        reasons = await running.ask("select 1 from dead_letters where reason = ''")
        assert kept.keys() >= {"event", "advisory", "reply"}, kept
        assert reasons == []


async def test_what_jetstream_gave_up_while_no_supervisor_was_there_is_kept_when_one_comes() -> None:
    async with exchange(NAMES) as running, orders_come(running) as load:
        running.kill("supervisor")
        async with running.nats() as client:
            await client.jetstream().publish("tl.default.inbox.orders", b"no wake")
        await running.until(lambda: _pending(running, "TL_DEAD"), "JetStream told of it")
        assert await running.ask("select 1 from dead_letters") == []
        running.start("supervisor")
        await running.until(lambda: running.ask("select 1 from dead_letters"), "it is kept")
        assert await running.ask("select source, reason from dead_letters") == [("advisory", "terminated")]
        await load.goes_on()


async def _an_order(running: Exchange) -> dict[str, str]:
    """The instance and the run of an order that is done: an address that is known."""
    ((instance, run),) = await running.ask(
        "select instance::text, id::text from runs where agent = 'orders' and status = 'completed' limit 1"
    )
    return {"instance": instance, "run": run}


async def _poison(running: Exchange, worker: str, order: dict[str, str]) -> None:
    known = {subject: {**body, **order} for subject, body in STORED.items() if body.keys() >= order.keys()}
    async with running.nats() as client:
        for subject, right in (*STORED.items(), *CORE.items(), *known.items()):
            for body in _bodies(right):
                await client.publish(subject.format(worker=worker), body)
        await client.flush()


def _bodies(right: dict[str, Any]) -> Iterator[bytes]:
    """The right body, and everything that it could be by mistake or malice."""
    yield json.dumps(right).encode()
    for name in right:
        for wrong in (None, {"a": 1}, -1, "x" * 1000, "\x00", 2**70):
            yield json.dumps({**right, name: wrong}).encode()
        yield json.dumps({key: value for key, value in right.items() if key != name}).encode()
    yield from GARBAGE


async def _pending(running: Exchange, stream: str) -> int:
    """What has not been read to its end by the stream's consumers."""
    async with running.nats() as client:
        found = await client.jetstream().consumers_info(stream)
        return sum(one.num_pending + one.num_ack_pending for one in found)


async def _is_quiet(running: Exchange) -> bool:
    left = {name: await _pending(running, f"TL_{name}") for name in ("EVENTS", "INBOX", "WORK", "REPLY", "DEAD")}
    print(left)  # what a failure shows
    return not any(left.values())
