"""Operator commands as processes, against a real gateway, agent worker and tool worker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from trunkline import App, Context, Cron
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline.store import dead_letters
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database
from trunkline_workers.agent import service as agents
from trunkline_workers.tool import service as tools

KEY = "ä/b c.*>"

app = App("shop")
Go = app.signal("go", str)


@app.tool(effect="idempotent", timeout=7, retries=2)
async def refund(order: str) -> str:
    """Give the money back."""
    return f"refunded {order}"


@app.agent("orders", on="order.placed", key="data.id")
async def orders(ctx: Context, order: dict[str, str]) -> str:
    """Handles orders."""
    return await ctx.call(refund, order["id"])


@app.agent("report", schedule=Cron("0 2 * * *", tz="Europe/Berlin", missed="skip"))
async def report(ctx: Context, _: None) -> None: ...


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@app.agent("buyer")
async def buyer(ctx: Context, cents: int) -> str:
    return str((await ctx.approve("buy", cents)).by)


@app.agent("clumsy")
async def clumsy(ctx: Context, word: str) -> str:
    raise ValueError(word)


@app.agent("foreman")
async def foreman(ctx: Context, depth: int) -> str:
    """Spawns one like itself, down to the last, who does badly."""
    if not depth:
        return await ctx.ask(clumsy, "oh no")
    end = await (await ctx.spawn(foreman, depth - 1, key=f"at {depth}")).ended()
    return end.status


@dataclass(frozen=True)
class Done:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Trunkline = Callable[..., Awaitable[Done]]


@pytest.fixture
async def gateway(settings: Settings, run_service: Any) -> str:
    """The URL of a gateway with workers behind it."""
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    await run_service(lambda stop, ready: tools.serve(app, settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    return await run_service(lambda stop, ready: serve(free, stop, ready))


@pytest.fixture
def trunkline(gateway: str) -> Trunkline:
    """Run ``trunkline …`` against the gateway."""

    async def run(*arguments: str, stdin: str = "", **variables: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trunkline.cli.main", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TRUNKLINE_GATEWAY_URL": gateway, **variables},
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
        assert b"Traceback" not in err
        assert b"\x1b[" not in out
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


async def test_a_run_is_followed_to_its_end(trunkline: Trunkline) -> None:
    done = await trunkline("run", "orders", '{"id": "o-1"}', "--key", KEY, "--follow")
    assert done.status == 0, done.err
    assert "completed   tool:refund#1" in done.out
    assert "refunded o-1" in done.out
    assert "StepCompleted" in (await trunkline("journal", done.out.split("run  ")[-1].split()[0])).out
    listed = await trunkline("runs", "list", "--agent", "orders", "--key", KEY)
    assert "completed" in listed.out
    assert KEY in listed.out


async def test_a_failed_run_leaves_a_failed_command(trunkline: Trunkline) -> None:
    done = await trunkline("run", "clumsy", "oh no", "--follow", "--json")
    assert done.status == 1
    *entries, run = [json.loads(line) for line in done.out.splitlines()]
    assert [entry["status"] for entry in entries] == ["accepted", "running", "failed"]
    assert (run["status"], run["error"]["type"]) == ("failed", "ValueError")
    assert "ValueError: oh no" in (await trunkline("runs", "show", run["id"])).out


async def test_a_repeat_starts_nothing(trunkline: Trunkline) -> None:
    first = await trunkline("run", "patient", "x", "--idempotency-key", "k", "--json")
    again = await trunkline("run", "patient", "x", "--idempotency-key", "k", "--json")
    other = await trunkline("run", "patient", "y", "--idempotency-key", "k")
    assert first.json["run_id"] == again.json["run_id"]
    assert (other.status, other.err.count("\n")) == (1, 1)
    assert "different body" in other.err


async def test_signals_reach_runs_and_instances(trunkline: Trunkline) -> None:
    run = (await trunkline("run", "patient", "hello", "--key", KEY, "--json")).json["run_id"]
    assert (await trunkline("signal", f"patient/{KEY}", "go", '"there"')).status == 0
    done = await trunkline("runs", "show", run, "--json")
    while done.json["status"] != "completed":
        done = await trunkline("runs", "show", run, "--json")
    assert done.json["output"] == "hello there"
    late = await trunkline("signal", run, "go", '"again"')
    assert late.status == 1
    assert "has ended" in late.err


async def test_a_run_is_cancelled(trunkline: Trunkline) -> None:
    run = (await trunkline("run", "patient", "hello", "--json")).json["run_id"]
    assert "asked to end" in (await trunkline("runs", "cancel", run, "--reason", "no more")).out
    done = await trunkline("runs", "show", run, "--json")
    while done.json["status"] != "cancelled":
        done = await trunkline("runs", "show", run, "--json")
    assert "CancelRequested" in (await trunkline("journal", run)).out


async def test_a_run_is_shown_with_its_children(trunkline: Trunkline) -> None:
    run = (await trunkline("run", "foreman", "2", "--key", "top", "--json")).json["run_id"]
    shown = await trunkline("runs", "show", run, "--json")
    while shown.json["status"] != "completed":
        shown = await trunkline("runs", "show", run, "--json")
    root = (await trunkline("runs", "tree", run, "--json")).json
    assert (root["id"], root["key"], root["status"], root["more"]) == (run, "top", "completed", False)
    [middle] = root["children"]
    [lowest] = middle["children"]
    [asked] = lowest["children"]
    assert [one["key"] for one in (middle, lowest)] == ["at 2", "at 1"]
    assert (asked["agent"], asked["status"], asked["children"]) == ("clumsy", "failed", [])
    lines = (await trunkline("runs", "tree", run)).out.splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines[:4]] == [0, 2, 4, 6]
    assert "ValueError: oh no" in " ".join(lines[3:])
    unknown = await trunkline("runs", "tree", "nothing")
    assert unknown.status == 1


async def test_an_event_wakes_the_agent(trunkline: Trunkline) -> None:
    given = ("publish", "order.placed", "-", "--id", "e-1", "--json")
    first = await trunkline(*given, stdin='{"id": "o-7"}')
    again = await trunkline(*given, stdin='{"id": "o-7"}')
    assert first.json["runs"] == again.json["runs"]
    assert len(first.json["runs"]) == 1
    bad = await trunkline("publish", "no spaces", "{}")
    assert bad.status == 2
    assert "type" in bad.err
    for nothing in (("-",), ("",)):
        empty = await trunkline("publish", "order.placed", *nothing, stdin="\n")
        assert (empty.status, "JSON: it is empty" in empty.err) == (2, True)
    keyless = await trunkline("publish", "order.placed", "[1, 2]")
    assert keyless.status == 2
    assert "names no instance of agent 'orders'" in keyless.err
    assert "the key 'data.id' is not in the event" in keyless.err


async def test_a_decision_is_listed_and_given(trunkline: Trunkline) -> None:
    run = (await trunkline("run", "buyer", "5", "--json")).json["run_id"]
    listed = (await trunkline("approvals", "list", "--json")).json["items"]
    while not listed:
        listed = (await trunkline("approvals", "list", "--json")).json["items"]
    assert "buy" in (await trunkline("approvals", "list")).out
    done = await trunkline("approvals", "approve", listed[0]["id"], "--by", "ann")
    assert "by ann" in done.out
    shown = await trunkline("runs", "show", run, "--json")
    while shown.json["status"] != "completed":
        shown = await trunkline("runs", "show", run, "--json")
    assert shown.json["output"] == "ann"
    assert (await trunkline("approvals", "refuse", listed[0]["id"])).status == 1


async def test_only_a_parked_run_is_resolved(trunkline: Trunkline) -> None:
    run = (await trunkline("run", "patient", "hello", "--json")).json["run_id"]
    done = await trunkline("runs", "resolve", run, "--again")
    assert (done.status, "only a parked run" in done.err) == (1, True)
    for wrong in ((), ("--again", "--failed", "no")):
        assert (await trunkline("runs", "resolve", run, *wrong)).status == 2


async def test_the_journals_are_checked(trunkline: Trunkline, settings: Settings) -> None:
    await trunkline("run", "orders", '{"id": "o-1"}', "--follow")
    where = {
        "TRUNKLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TRUNKLINE_DATABASE_SCHEMA": settings.database_schema,
    }
    done = await trunkline("check", **where)
    assert (done.status, done.out) == (0, "1 instances, 1 runs (0 are under way), 0 violations.\n")
    db = await Database.open(where["TRUNKLINE_DATABASE_URL"], schema=settings.database_schema, size=1)
    async with db.connection() as connection:
        await connection.execute("update runs set status = 'failed'")
    await db.close()
    broken = await trunkline("check", **where)
    assert (broken.status, "its journal says completed" in broken.out) == (1, True)


async def test_the_catalog(trunkline: Trunkline) -> None:
    await trunkline("run", "orders", '{"id": "o-1"}', "--key", KEY, "--follow")
    shown = {name: (await trunkline(*name.split())).out for name in ("agents", "tools", "ps", "instances list orders")}
    assert "order.placed" in shown["agents"]
    assert "idempotent" in shown["tools"]
    assert "7 s" in shown["tools"]
    assert "at work" in shown["ps"]
    assert KEY in shown["instances list orders"]
    assert KEY in (await trunkline("instances", "show", "orders", KEY)).out
    assert [each["name"] for each in (await trunkline("tools", "--json")).json["items"]] == ["refund"]


async def test_an_instance_is_erased_when_somebody_says_yes(trunkline: Trunkline, gateway: str) -> None:
    await trunkline("run", "patient", '"well"', "--key", KEY)
    refused = await trunkline("instances", "erase", "patient", KEY)
    assert (refused.status, "say --yes" in refused.err) == (2, True)
    assert await on_a_terminal(gateway, "n\n", "instances", "erase", "patient", KEY) == 1
    assert KEY in (await trunkline("instances", "show", "patient", KEY)).out
    assert await on_a_terminal(gateway, "y\n", "instances", "erase", "patient", KEY) == 0
    assert (await trunkline("instances", "show", "patient", KEY)).status == 1
    again = await trunkline("instances", "erase", "patient", KEY, "--yes", "--json")
    assert again.json["purged"]


async def on_a_terminal(gateway: str, typed: str, *arguments: str) -> int:
    """Run ``trunkline …`` with somebody at the keyboard; its exit status."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, typed.encode())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trunkline.cli.main", *arguments, stdin=theirs,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "TRUNKLINE_GATEWAY_URL": gateway},
        )  # fmt: skip
        return await asyncio.wait_for(process.wait(), 30)
    finally:
        os.close(ours)
        os.close(theirs)


async def test_dead_letters(trunkline: Trunkline, settings: Settings) -> None:
    assert "no dead letters" in (await trunkline("dead-letters", "list")).out
    db = await Database.open(settings.database_url.get_secret_value(), schema=settings.database_schema, size=1)
    letter = DeadLetter(settings.tenant, "event", "bad-event", "the attribute 'id' is missing", "tl.x", {"a": 1}, 1)
    id_ = await dead_letters.add(db, letter)
    await db.close()
    assert id_ in (await trunkline("dead-letters", "list")).out
    assert "the attribute 'id' is missing" in (await trunkline("dead-letters", "show", id_)).out
    assert (await trunkline("dead-letters", "show", "nope")).status == 1
    assert (await trunkline("dead-letters", "redrive", id_)).status == 1, "nobody can make anything of it"
    assert (await trunkline("dead-letters", "redrive")).status == 2
    assert (await trunkline("dead-letters", "discard", id_)).status == 0
    assert "no dead letters" in (await trunkline("dead-letters", "list")).out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("run", "nobody", "1"), 1, "no agent 'nobody'"),
        (("run", "orders", '{"id": '), 2, "INPUT is not acceptable JSON"),
        (("run", "orders", "@/no/such/file"), 2, "No such file"),
        (("run", "orders"), 2, "Missing argument"),
        (("runs", "show", "no such run"), 1, "There is no run"),
        (("runs", "show", "no/such/run"), 1, "There is nothing at /v1/runs/no/such/run"),
        (("runs", "list", "--status", "odd"), 2, "status"),
        (("runs", "list", "--cursor", "odd"), 2, "cursor"),
        (("signal", "nope", "go"), 1, "There is no run"),
        (("instances", "show", "orders", "unknown"), 1, "no instance"),
    ],
)
async def test_refusals_are_one_clear_line(
    trunkline: Trunkline, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = await trunkline(*arguments)
    assert done.status == status, done.err
    assert words in done.err
    assert done.out == ""


async def test_an_unreachable_gateway_is_told(trunkline: Trunkline) -> None:
    away = await trunkline("agents", TRUNKLINE_GATEWAY_URL="http://127.0.0.1:1")
    assert (away.status, away.err.count("\n")) == (3, 1)
    assert "http://127.0.0.1:1" in away.err
    assert (await trunkline("agents", TRUNKLINE_GATEWAY_URL="nonsense")).status == 2


async def test_schedules_are_listed_with_when_they_are_due(trunkline: Trunkline) -> None:
    [found] = (await trunkline("schedules", "list", "--json")).json["items"]
    assert (found["agent"], found["name"], found["fired_at"]) == ("report", "cron 0 2 * * * Europe/Berlin", None)
    assert found["due_at"] > time.time()
    told = (await trunkline("schedules", "list")).out
    assert "cron 0 2 * * * Europe/Berlin" in told
    assert "skip" in told


async def test_an_agent_is_paused_and_goes_on(trunkline: Trunkline) -> None:
    assert (await trunkline("agents", "pause", "patient")).status == 2, "it has no reason"
    assert (await trunkline("agents", "pause", "nobody", "--reason", "why")).status == 1
    done = await trunkline("agents", "pause", "patient", "--reason", "the bank is closed")
    assert (done.status, "agents resume patient" in done.out) == (0, True)
    for command in (("agents",), ("agents", "list")):
        assert "paused: the bank is closed" in (await trunkline(*command)).out
    [item] = [one for one in (await trunkline("agents", "--json")).json["items"] if one["name"] == "patient"]
    assert item["paused"]["reason"] == "the bank is closed"
    assert (await trunkline("agents", "resume", "patient")).out.startswith("Runs of patient begin")
    assert "was not paused" in (await trunkline("agents", "resume", "patient")).out


async def test_a_run_that_waits_says_why(trunkline: Trunkline, eventually: Any) -> None:
    await trunkline("agents", "pause", "patient", "--reason", "the bank is closed")

    async def one_waits() -> str:
        run = (await trunkline("run", "patient", "word", "--json")).json["run_id"]
        shown = (await trunkline("runs", "show", run)).out
        return shown if "its agent is paused: the bank is closed" in shown else ""

    assert "accepted" in await eventually(one_waits, timeout=30)
    assert "its agent is paused" in (await trunkline("runs", "list")).out
