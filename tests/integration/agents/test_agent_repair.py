"""What cannot go on is parked with its reason, and goes on once it is mended; nothing of it reaches its neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from integration.agents.changed_app import app as changed
from integration.agents.conftest import Exchange, Worker
from trunkline.domain.errors import Unavailable
from trunkline.domain.status import EnvelopeKind
from trunkline.store import dead_letters, journal, leases
from trunkline.store.database import Unreachable
from trunkline_workers.agent import mail
from trunkline_workers.agent.registry import Registry

SIGNAL, CANCEL = EnvelopeKind.SIGNAL, EnvelopeKind.CANCEL
GO = {"name": "go", "data": "on"}


async def suspect(exchange: Exchange, key: str) -> None:
    """Say of the instance that workers died with it again and again."""
    async with exchange.db.connection() as connection:
        await connection.execute("update instances set takeovers = 3 where key = %s", [key])


async def test_a_run_whose_code_was_changed_is_parked_and_goes_on_with_the_old_code(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("patient", "changed", "well")
        await exchange.until(run, "waiting")
    async with Worker(exchange.settings, changed):
        await exchange.post("patient", "changed", SIGNAL, GO, run=run)
        parked = await exchange.until(run, "parked")
        assert parked.parked_reason == "diverged"
        assert "double" in parked.parked_detail
        assert "triple" in parked.parked_detail
        assert parked.next_actions
    async with Worker(exchange.settings):
        ended = await exchange.until(run, "completed", "failed")
    assert ended.output == "well on 2"
    assert ended.parked_reason == ""


async def test_a_run_that_killed_its_workers_is_parked_before_its_code_runs(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("patient", "killer", "well")
        await exchange.until(run, "waiting")
    await suspect(exchange, "killer")
    async with Worker(exchange.settings):
        await exchange.post("patient", "killer", SIGNAL, GO, run=run)
        parked = await exchange.until(run, "parked", "completed")
        assert parked.parked_reason == "kills-its-worker"
        await exchange.post("patient", "killer", CANCEL, {"reason": "it is a killer"}, run=run)
        assert (await exchange.until(run, "cancelled")).error["message"] == "it is a killer"
        letters, _ = await dead_letters.list_dead_letters(exchange.db, "default")
        assert [letter.reason for letter in letters] == ["its run was cancelled while it was parked"]
        again = await exchange.request("patient", "killer", "well")
        await exchange.until(again, "waiting")


async def test_a_run_that_is_tried_again_runs(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("patient", "mended", "well")
        await exchange.until(run, "waiting")
    await suspect(exchange, "mended")
    async with Worker(exchange.settings):
        await exchange.post("patient", "mended", SIGNAL, GO, run=run)
        await exchange.until(run, "parked")
        await exchange.post("patient", "mended", EnvelopeKind.RESOLVE, {"outcome": "again", "by": "ann"}, run=run)
        assert (await exchange.until(run, "completed")).output == "well on 2"


async def test_a_request_that_killed_its_workers_at_once_is_parked(exchange: Exchange) -> None:
    """Nothing of it was ever recorded: its code died before the first commit."""
    async with Worker(exchange.settings):
        first = await exchange.request("tally", "sudden", 1)
        await exchange.until(first, "completed")
    await suspect(exchange, "sudden")
    async with Worker(exchange.settings):
        run = await exchange.request("tally", "sudden", 2)
        parked = await exchange.until(run, "parked", "completed")
        assert parked.parked_reason == "kills-its-worker"
        assert await exchange.entries(run) == ["RunStarted", "RunParked"]


async def test_a_fault_in_a_turn_fails_its_run_alone(
    exchange: Exchange, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await exchange.request("patient", "neighbour", "well")
    await exchange.until(waiting, "waiting")
    request = mail.HANDLERS[EnvelopeKind.REQUEST]

    def faulty(activation, letter, turn):
        if activation.lease.key == "faulty":
            raise RuntimeError("a fault of ours")
        request(activation, letter, turn)

    monkeypatch.setitem(mail.HANDLERS, EnvelopeKind.REQUEST, faulty)
    failed = await exchange.until(await exchange.request("tally", "faulty", 1), "failed")
    assert failed.error is not None
    assert failed.error["type"] == "Unrecordable"
    assert "a fault of ours" in failed.error["message"]
    await exchange.post("patient", "neighbour", SIGNAL, GO, run=waiting)
    assert (await exchange.until(waiting, "completed")).output == "well on 2"


async def test_a_lease_whose_taking_was_not_answered_is_taken_anew(exchange: Exchange, worker: Worker) -> None:
    await exchange.until(await exchange.request("tally", "lost", 1), "completed")
    async with exchange.db.connection() as connection:
        await connection.execute(
            "insert into instances (id, tenant, agent, key, owner, epoch)"
            " select %s, tenant, agent, 'half', owner, 7 from instances where key = 'lost'",
            [exchange.instance("tally", "half")],
        )
    ended = await exchange.until(await exchange.request("tally", "half", 5), "completed")
    assert ended.output == 5


@pytest.mark.parametrize(("room", "name"), [(leases, "take"), (journal, "read")])
async def test_an_outage_while_a_lease_is_taken_leaves_nothing_lying(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, room: Any, name: str
) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("patient", "outage", "well")
        await exchange.until(run, "waiting")
    real, failed = getattr(room, name), []

    async def once(*arguments: Any) -> Any:
        if not failed:
            failed.append(name)
            raise Unreachable(reason="it was away for a moment")
        return await real(*arguments)

    monkeypatch.setattr(room, name, once)
    async with Worker(exchange.settings):
        await exchange.until_held("patient", "outage")
        await exchange.post("patient", "outage", SIGNAL, GO, run=run)
        assert (await exchange.until(run, "completed")).output == "well on 2"
    assert failed == [name]


async def test_a_worker_whose_part_ends_does_not_go_on_deaf(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self):
        raise RuntimeError("broken")

    monkeypatch.setattr(Registry, "_read_mail", broken)
    worker = Worker(exchange.settings)
    await worker.__aenter__()
    await exchange.request("tally", "any", 1)
    with pytest.raises(Unavailable, match="registry"):
        await worker.ended


@pytest.mark.parametrize("agent", ["exiting", "cancelling", "unreadable"])
async def test_whatever_a_local_step_raises_is_its_outcome(exchange: Exchange, worker: Worker, agent: str) -> None:
    ended = await exchange.until(await exchange.request(agent, "one", 1), "failed", "completed")
    assert ended.status == "failed"
    assert await exchange.entries(ended.id) == ["RunStarted", "StepScheduled", "StepFailed", "RunFailed"]


async def _nobodys(exchange: Exchange, key: str) -> bool:
    return await leases.owner_of(exchange.db, exchange.instance("patient", key)) is None


async def test_an_instance_whose_journal_cannot_be_read_is_parked_until_it_is_mended(exchange: Exchange) -> None:
    async def head(by: int) -> None:
        async with exchange.db.connection() as connection:
            await connection.execute("update instances set head = head + %s where key = 'corrupt'", [by])

    async with Worker(exchange.settings):
        run = await exchange.request("patient", "corrupt", "well")
        await exchange.until(run, "waiting")
    await head(1)
    async with Worker(exchange.settings):
        await exchange.post("patient", "corrupt", SIGNAL, GO, run=run)
        parked = await exchange.until(run, "parked")
        assert parked.parked_reason == "unloadable"
        assert "the head is" in parked.parked_detail
        assert any("--again" in action and run in action for action in parked.next_actions)
        await exchange.eventually(lambda: _nobodys(exchange, "corrupt"))
        other = await exchange.request("patient", "sound", "well")
        await exchange.until(other, "waiting")
        await head(-1)
        await exchange.post("patient", "corrupt", EnvelopeKind.RESOLVE, {"outcome": "again"}, run=run)
        ended = await exchange.until(run, "completed", "failed")
    assert (ended.output, ended.parked_reason) == ("well on 2", "")
