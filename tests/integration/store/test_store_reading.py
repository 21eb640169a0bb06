"""What people and other rooms read: runs, instances, definitions, dead letters, payloads."""

from __future__ import annotations

import asyncio

import making
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import AGENT, TENANT, envelope

from trunkline.domain.errors import BadInput, NotJson, UnknownDeadLetter, UnknownInstance, UnknownRun
from trunkline.domain.ids import new_id
from trunkline.domain.journal import RunCompleted
from trunkline.domain.specs import AgentSpec, Subscription, ToolSpec
from trunkline.domain.status import RunStatus
from trunkline.store import dead_letters, definitions, instances, pages, payloads, runs
from trunkline.store.accept import accept
from trunkline.store.append import Appender, DeadLetter, RunChange
from trunkline.store.database import Database


async def test_runs_are_listed_newest_first_in_pages_that_do_not_shift(db: Database) -> None:
    letters = [envelope(f"k{n % 2}") for n in range(7)]
    await accept(db, letters[:3])
    for letter in letters[3:]:
        await accept(db, [letter])
    whole, end = await runs.list_runs(db, TENANT)
    assert {run.id for run in whole} == {letter.run for letter in letters}
    assert [run.id for run in whole[:4]] == [letter.run for letter in reversed(letters[3:])]
    assert end is None
    paged: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        page, cursor = await runs.list_runs(db, TENANT, limit=2, cursor=cursor)
        paged += [run.id for run in page]
        await accept(db, [envelope()])
    assert paged == [run.id for run in whole]
    assert cursor is None


async def test_runs_are_filtered(db: Database, appender: Appender) -> None:
    owner, [(lease, letter), _] = await making.owned(db, 2)
    change = RunChange(letter.run, RunStatus.FAILED, error={"type": "X"}, started=True, ended=True)
    await appender.append(making.append(lease, owner, [making.started(letter.run)], runs=[change]))
    assert [run.id for run in (await runs.list_runs(db, TENANT, status=RunStatus.FAILED))[0]] == [letter.run]
    assert [run.id for run in (await runs.list_runs(db, TENANT, agent=AGENT, key=lease.key))[0]] == [letter.run]
    assert len((await runs.list_runs(db, TENANT, agent=AGENT))[0]) == 2
    assert (await runs.list_runs(db, TENANT, agent="none"))[0] == []
    assert (await runs.list_runs(db, "another"))[0] == []
    whole = await runs.get(db, TENANT, letter.run)
    assert whole.status is RunStatus.FAILED
    assert await runs.ended_among(db, [letter.run, new_id()]) == {letter.run: whole}
    assert await runs.open_of(db, lease.instance) == []


@pytest.mark.parametrize("cursor", ["x", "WzFd", "W10", "bnVsbA", "ä", "WzEsICJhIl0", "WyJhIiwgImIiXQ"])
async def test_a_made_up_cursor_is_refused(db: Database, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        await runs.list_runs(db, TENANT, cursor=cursor)
    with pytest.raises(BadInput, match="cursor"):
        await dead_letters.list_dead_letters(db, TENANT, cursor=cursor)


@given(st.tuples(st.text(), st.integers(min_value=-(2**63), max_value=2**63 - 1)))
def test_cursors_come_back_as_they_were(columns: tuple[str, int]) -> None:
    columns = (columns[0].replace("\x00", ""), columns[1])
    assert pages.columns_of(pages.cursor_of(*columns), (str, int)) == list(columns)


@pytest.mark.parametrize("run", ["", "nope", "' or true --", "00000000-0000-7000-8000-000000000000"])
async def test_an_unknown_run_is_named(db: Database, run: str) -> None:
    with pytest.raises(UnknownRun):
        await runs.get(db, TENANT, run)


async def test_another_tenants_run_is_unknown(db: Database) -> None:
    letter = envelope()
    await accept(db, [letter])
    with pytest.raises(UnknownRun):
        await runs.get(db, "another", letter.run)
    assert (await runs.get(db, TENANT, letter.run.upper())).id == letter.run


async def test_an_instance_is_seen_from_its_first_letter_on(db: Database, appender: Appender) -> None:
    with pytest.raises(UnknownInstance):
        await instances.get(db, TENANT, AGENT, "k")
    letter = envelope("k")
    await accept(db, [letter])
    view = await instances.get(db, TENANT, AGENT, "k")
    assert (view.instance.owner, view.instance.head, view.state, view.conversation) == (None, 0, None, [])
    assert [run.id for run in view.open_runs] == [letter.run]
    owner = await making.worker(db)
    [[lease], _] = await making.leases.take(db, owner, [letter.instance])
    said = [{"role": "user", "content": "hello"}]
    entries = [making.started(letter.run), RunCompleted(letter.run, output=1, state={"n": 2}, conversation=said)]
    change = RunChange(letter.run, RunStatus.COMPLETED, output=1, started=True, ended=True)
    await appender.append(making.append(lease, owner, entries, runs=[change]))
    view = await instances.get(db, TENANT, AGENT, "k")
    assert (view.instance.owner, view.instance.head) == (owner, 2)
    assert (view.state, view.conversation, view.open_runs) == ({"n": 2}, said, [])


async def test_instances_are_listed_by_agent_and_key(db: Database) -> None:
    _, held = await making.owned(db, 5)
    keys = sorted(lease.key for lease, _ in held)
    first, cursor = await instances.list_instances(db, TENANT, agent=AGENT, limit=3)
    rest, end = await instances.list_instances(db, TENANT, limit=3, cursor=cursor)
    assert [instance.key for instance in first + rest] == keys
    assert end is None
    assert await instances.list_instances(db, TENANT, agent="none") == ([], None)
    with pytest.raises(BadInput):
        await instances.list_instances(db, TENANT, cursor="x")


# --- definitions ----------------------------------------------------------------------------------------------------

TOOL = ToolSpec(name="refund", app="app", input_schema={"type": "object"})
PLACED = Subscription(agent="orders", event_type="order.placed", key="data.id")
CANCELLED = Subscription(agent="orders", event_type="order.cancelled", handler="order.cancelled")
ORDERS = AgentSpec(name="orders", app="app", subscriptions=(PLACED, CANCELLED))


async def test_a_declaration_gets_a_new_version_when_it_changed(db: Database) -> None:
    published = await asyncio.gather(*(definitions.publish(db, TENANT, [ORDERS], [TOOL]) for _ in range(4)))
    assert published == [{("agent", "orders"): 1, ("tool", "refund"): 1}] * 4
    changed = TOOL.model_copy(update={"description": "Give it back."})
    assert await definitions.publish(db, TENANT, [], [changed]) == {("tool", "refund"): 2}
    assert await definitions.publish(db, TENANT, [], [TOOL]) == {("tool", "refund"): 1}
    current = await definitions.current(db, TENANT, "tool")
    assert current["refund"].tool == TOOL
    assert (await definitions.current(db, TENANT, "agent", "orders"))["orders"].agent == ORDERS
    assert await definitions.current(db, "another", "agent") == {}
    assert await definitions.publish(db, TENANT, [], []) == {}


async def test_an_agents_subscriptions_are_replaced_with_it(db: Database) -> None:
    other = AgentSpec(name="audit", app="b", subscriptions=(PLACED.model_copy(update={"agent": "audit"}),))
    await definitions.publish(db, TENANT, [ORDERS, other], [])
    await definitions.publish(db, "another", [ORDERS], [])
    assert len((await definitions.subscriptions(db))[TENANT]) == 3
    moved = PLACED.model_copy(update={"key": "subject"})
    await definitions.publish(db, TENANT, [ORDERS.model_copy(update={"subscriptions": (moved,)})], [])
    found = await definitions.subscriptions(db, TENANT)
    assert found == {TENANT: [other.subscriptions[0], moved]}
    assert await definitions.subscriptions(db, "another") == {"another": [CANCELLED, PLACED]}


# --- what is kept aside ---------------------------------------------------------------------------------------------


async def test_dead_letters_are_kept_once_and_listed(db: Database) -> None:
    id_ = new_id()
    letter = DeadLetter(TENANT, "event", "not JSON", detail="at \x00", body=dead_letters.readable(b'{"\xff\x00'))
    assert await dead_letters.add(db, letter, id_=id_) == id_
    await dead_letters.add(db, letter, id_=id_)
    await dead_letters.add(db, DeadLetter(TENANT, "signal", "late", body={"b": 1, "a": 2}, attempts=3))
    listed, end = await dead_letters.list_dead_letters(db, TENANT)
    assert end is None
    assert [(each.source, each.attempts) for each in listed] == [("signal", 3), ("event", 0)]
    assert (await dead_letters.get(db, TENANT, id_)).body == '{"\ufffd\ufffd'
    for tenant, unknown in ((TENANT, new_id()), ("another", id_), (TENANT, "x")):
        with pytest.raises(UnknownDeadLetter):
            await dead_letters.get(db, tenant, unknown)


@given(st.binary())
def test_any_bytes_can_be_made_readable(data: bytes) -> None:
    text = dead_letters.readable(data, 64)
    assert "\x00" not in text
    assert len(text) <= 64
    text.encode()


async def test_payloads_are_written_once(db: Database) -> None:
    await payloads.put(db, TENANT, "p", {"b": 1, "a": ["ü"]})
    await payloads.put(db, TENANT, "p", "other")
    assert await payloads.get(db, TENANT, "p") == {"b": 1, "a": ["ü"]}
    for tenant, id_ in (("another", "p"), (TENANT, "q")):
        with pytest.raises(KeyError):
            await payloads.get(db, tenant, id_)
    with pytest.raises(NotJson):
        await payloads.put(db, TENANT, "r", float("nan"))
