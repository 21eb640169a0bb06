"""What still moves, where nothing but rows says so: a commit behind which the exchange goes on by itself."""

from __future__ import annotations

from dataclasses import replace

from integration.store import making
from trunkline.domain.journal import Entry, RunContinued, SignalReceived, StepScheduled
from trunkline.domain.mail import Envelope
from trunkline.domain.status import RunStatus, StepKind
from trunkline.store import accept, stillness
from trunkline.store.append import Appender, RunChange
from trunkline.store.database import Database


def wait(key: str, name: str = "go") -> Entry:
    return StepScheduled("", key=key, kind=StepKind.WAIT, name=name)


async def begun(db: Database, appender: Appender, status: RunStatus, *entries: Entry) -> Envelope:
    """A run that took its request and did what ``entries`` say, in one commit."""
    owner, [(lease, letter)] = await making.owned(db)
    mail = await making.value(db, "select seq from mailbox where run = %s", letter.run)
    change = RunChange(letter.run, status, started=True)
    whole = [making.started(letter.run), *(replace(entry, run=letter.run) for entry in entries)]
    await appender.append(making.append(lease, owner, whole, runs=[change], taken=[mail]))
    return letter


async def test_a_run_that_waits_is_at_rest(db: Database, appender: Appender) -> None:
    await begun(db, appender, RunStatus.WAITING, wait("wait:go#1"))
    assert await stillness.moving(db, making.TENANT) == []


async def test_a_handler_that_is_to_begin_anew_moves_until_it_has(db: Database, appender: Appender) -> None:
    anew = RunContinued("", input=1, at=1.0, number=2)
    signal = SignalReceived("", name="go", data=1, message_id="s", at=1.0)
    letter = await begun(db, appender, RunStatus.RUNNING, wait("wait:go#1"), anew, signal)
    assert await stillness.moving(db, making.TENANT) == [f"orders/{letter.key}: its handler has not begun anew"]
    await begun(db, appender, RunStatus.WAITING, anew, wait("@2/wait:go#1"))
    assert len(await stillness.moving(db, making.TENANT)) == 1


async def test_the_first_signal_that_nobody_waits_for_is_still_to_be_taken(db: Database, appender: Appender) -> None:
    letter = await begun(db, appender, RunStatus.WAITING, wait("wait:stop#1", "stop"))
    await accept.accept(db, [making.signal(letter)])
    assert await stillness.moving(db, making.TENANT) == [f"orders/{letter.key}: a signal has not been taken up"]


async def test_a_signal_rests_that_a_run_has_no_room_for(db: Database, appender: Appender) -> None:
    heard = [SignalReceived("", name="go", data=n, message_id=f"s{n}", at=1.0) for n in range(64)]
    letter = await begun(db, appender, RunStatus.WAITING, wait("wait:stop#1", "stop"), *heard)
    await accept.accept(db, [making.signal(letter)])
    assert await stillness.moving(db, making.TENANT) == []
