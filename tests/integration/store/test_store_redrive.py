"""Dead letters go out again once, and only where something can be made of them."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.errors import NotRedrivable
from trunkline.domain.events import CloudEvent
from trunkline.domain.specs import AgentSpec, Subscription
from trunkline.store import dead_letters, definitions, mailbox
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database
from trunkline.store.dead_letters import Kept
from trunkline.store.redrive import redrive

EVENT = CloudEvent(id="e-1", source="test", type="order.placed", data={"order_id": "o-1"}).to_body()
SIGNAL = {"kind": "signal", "run": "", "message_id": "m", "body": {"name": "go", "data": 1}}


async def kept(db: Database, source: str, body: Any, subject: str = "orders/o/1") -> Kept:
    return await dead_letters.get(
        db, "acme", await dead_letters.add(db, DeadLetter("acme", source, "no", subject=subject, body=body))
    )


async def subscribe(db: Database) -> None:
    wanted = Subscription(event_type="order.placed", agent="orders", key="data.order_id")
    await definitions.publish(db, "acme", [AgentSpec(name="orders", app="shop", subscriptions=(wanted,))], [])


async def test_an_event_reaches_who_subscribes_by_now(db: Database) -> None:
    letter = await kept(db, "event", EVENT)
    with pytest.raises(NotRedrivable, match="no agent subscribes"):
        await redrive(db, letter)
    await subscribe(db)
    (envelope,) = await redrive(db, letter)
    assert (envelope.agent, envelope.key) == ("orders", "o-1")
    found = await mailbox.pending(db, [envelope.instance])
    assert [mail.kind for mail in found[envelope.instance]] == ["event"]
    assert (await dead_letters.get(db, "acme", letter.id)).settled_as == "redriven"
    assert (await dead_letters.list_dead_letters(db, "acme"))[0] == []


async def test_a_letter_is_redriven_once(db: Database) -> None:
    letter = await kept(db, "mailbox", SIGNAL)
    (envelope,) = await redrive(db, letter)
    assert (envelope.agent, envelope.key, envelope.body) == ("orders", "o/1", {"name": "go", "data": 1})
    assert await redrive(db, letter) == [envelope], "who asks again is told the same"
    assert len((await mailbox.pending(db, [envelope.instance]))[envelope.instance]) == 1


@pytest.mark.parametrize(
    ("source", "body", "says"),
    [
        ("event", "not JSON", "no JSON object"),
        ("event", {"specversion": "1.0"}, "Not a CloudEvents"),
        ("mailbox", {"kind": "reply", "body": {}}, "has ended"),
        ("mailbox", None, "does not hold"),
        ("advisory", {}, "told already"),
    ],
)
async def test_what_nothing_can_be_made_of_stays(db: Database, source: str, body: Any, says: str) -> None:
    letter = await kept(db, source, body)
    with pytest.raises(NotRedrivable, match=says):
        await redrive(db, letter)
    assert (await dead_letters.get(db, "acme", letter.id)).settled_as == ""


async def test_a_discarded_letter_is_kept_and_listed_no_more(db: Database) -> None:
    letter = await kept(db, "mailbox", SIGNAL)
    other = await kept(db, "event", EVENT)
    assert await dead_letters.discard(db, "acme", letter.id)
    assert not await dead_letters.discard(db, "acme", letter.id)
    assert not await dead_letters.discard(db, "elsewhere", other.id)
    listed, _ = await dead_letters.list_dead_letters(db, "acme", source="event")
    assert [one.id for one in listed] == [other.id]
    with pytest.raises(NotRedrivable, match="discarded before"):
        await redrive(db, letter)
