"""Activation does not grow with history: an instance comes back from its snapshot, or is refused, and never anew."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from trunkline.domain.codec import dumps
from trunkline.domain.events import CloudEvent
from trunkline.domain.journal import RunCompleted
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Wake
from trunkline.settings import Settings
from trunkline.store import history, instances, journal
from trunkline.store.accept import accept
from trunkline.store.audit import audit


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"snapshot_after": 5})


async def tallied(exchange: Exchange, *numbers: int) -> list[str]:
    """Requests that are accepted at once, so that the next one is always in the queue; and their ends."""
    requests = [
        Envelope("default", "tally", "t", f"n{number}", EnvelopeKind.REQUEST, {"input": number, "handler": ""}, run=run)
        for number, run in ((number, run_id(number)) for number in numbers)
    ]
    await accept(exchange.db, requests)
    wake = Wake(tenant="default", agent="tally", instance=requests[0].instance)
    await exchange.bus.publish(exchange.bus.subjects.inbox("default", "tally"), dumps(wake))
    return [str((await exchange.until(request.run, "completed")).output) for request in requests]


def run_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


async def past(exchange: Exchange, agent: str = "tally", key: str = "t") -> history.History:
    instance = exchange.instance(agent, key)
    found = (await history.read(exchange.db, [instance]))[instance]
    assert isinstance(found, history.History)
    return found


async def forget_what_snapshots_cover(exchange: Exchange) -> None:
    """As retention does it."""
    async with exchange.db.connection() as connection, connection.transaction():
        await connection.execute("set local trunkline.retention = 'on'")
        await connection.execute("delete from journal j using snapshots s where j.version <= s.version")
        await connection.execute("update snapshots set floor = version")


async def test_a_snapshot_is_as_of_a_runs_end_though_the_next_run_waits(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        await tallied(exchange, *range(1, 21))
        found = await past(exchange)
        kept = (await journal.read(exchange.db, [exchange.instance("tally", "t")]))[exchange.instance("tally", "t")]
    assert isinstance(kept, journal.Journal)
    assert found.covered >= 35, "40 entries, and a snapshot after every 6"
    assert len(found.rows) == len(kept.rows) - found.covered <= 5
    assert isinstance(kept.rows[found.covered - 1].entry, RunCompleted)
    assert (await audit(exchange.db, "default")).violations == []


async def test_an_instance_comes_back_from_its_snapshot_alone(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        await tallied(exchange, *range(1, 21))
    await forget_what_snapshots_cover(exchange)
    async with Worker(exchange.settings):
        assert await tallied(exchange, 21) == ["231"]
    view = await instances.get(exchange.db, "default", "tally", "t")
    assert view.state == {"total": 231}
    assert (await audit(exchange.db, "default")).violations == []


async def test_a_damaged_snapshot_without_its_journal_is_refused(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        await tallied(exchange, *range(1, 21))
    await forget_what_snapshots_cover(exchange)
    async with exchange.db.connection() as connection:
        await connection.execute("update snapshots set body = replace(body::text, '\"total\":', '\"total\":1')::json")
    async with Worker(exchange.settings):
        run = await exchange.request("tally", "t", 21)
        parked = await exchange.until(run, "parked", "completed")
    assert (parked.parked_reason, parked.status) == ("unloadable", "parked")
    assert "its beginning was removed" in parked.parked_detail


async def test_a_damaged_snapshot_is_passed_over_while_the_journal_is_whole(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        await tallied(exchange, *range(1, 21))
    async with exchange.db.connection() as connection:
        await connection.execute("update snapshots set body = replace(body::text, '\"total\":', '\"total\":1')::json")
    async with Worker(exchange.settings):
        assert await tallied(exchange, 21) == ["231"]
        assert (await past(exchange)).covered > 40, "a sound one has taken its place"


async def test_while_a_run_is_open_none_is_made(exchange: Exchange) -> None:
    """What an open run has come to is in no snapshot, however many others end beside it."""
    async with Worker(exchange.settings):
        waiting = await exchange.request("noting", "w", "x")
        for n in range(4):
            event = CloudEvent(id=f"e{n}", source="test", type="noting.told", data={"id": "w"}).model_dump(mode="json")
            body = {"input": event, "handler": "noting.told", "parent": None}
            beside = await exchange.post("noting", "w", EnvelopeKind.EVENT, body, run=run_id(n))
            await exchange.until(beside, "completed")
        assert (await past(exchange, "noting", "w")).covered == 0
        await exchange.post("noting", "w", EnvelopeKind.SIGNAL, {"name": "go", "data": "on"}, run=waiting)
        await exchange.until(waiting, "completed")
    found = await past(exchange, "noting", "w")
    assert (found.covered, found.rows) == (21, [])
    assert (await audit(exchange.db, "default")).violations == []
