"""Events become letters: keys from paths, identities that a repeat finds again, and reasons when there is no key."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.codec import dumps
from trunkline.domain.errors import NoInstanceKey
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import instance_id, is_id
from trunkline.domain.specs import Subscription
from trunkline.domain.status import EnvelopeKind
from trunkline.engine.routing import key_of, route


def event(data: Any = None, **more: Any) -> CloudEvent:
    return CloudEvent(id="7", source="shop", type="order.placed", data=data, **more)


def subscription(**more: Any) -> Subscription:
    return Subscription(**{"agent": "orders", "event_type": "order.placed", "key": "data.order_id", **more})


def test_an_event_becomes_a_letter_to_the_instance_of_its_key() -> None:
    placed = event({"order_id": "o-1", "cents": 5}, subject="eu")
    (letter,) = route("acme", placed, [subscription()])
    assert (letter.tenant, letter.agent, letter.key, letter.kind) == ("acme", "orders", "o-1", EnvelopeKind.EVENT)
    assert letter.instance == instance_id("acme", "orders", "o-1")
    assert letter.body == {"input": placed.to_body(), "handler": "", "parent": None}
    assert letter.message_id.startswith("event:")
    assert is_id(letter.run)
    assert letter.digest == ""
    dumps(letter.body)


@pytest.mark.parametrize("key", ["a.b", "two words", "a/b/c", "ümläut-漢字-🙂", "*>", "x" * 512, " "])
def test_legal_keys_are_taken_as_they_are(key: str) -> None:
    (letter,) = route("acme", event({"order_id": key}), [subscription()])
    assert letter.key == key


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("data.n", "42"),
        ("data.big", str(10**30)),
        ("data.lines.1.sku", "b"),
        ("data.matrix.0.1", "2"),
        ("data.ключ", "да"),
        ("subject", "eu"),
        ("id", "7"),
        ("", "7"),
        ("source", "shop"),
        ("tenantid", "t1"),
    ],
)
def test_paths_lead_into_objects_lists_and_attributes(path: str, key: str) -> None:
    data = {"n": 42, "big": 10**30, "lines": [{"sku": "a"}, {"sku": "b"}], "matrix": [[1, 2]], "ключ": "да"}
    body = event(data, subject="eu", tenantid="t1").to_body()
    assert key_of(body, path) == key


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("data.missing", "is not in the event"),
        ("data.none", "is not in the event"),
        ("data.lines.2.sku", "is not in the event"),
        ("data.lines.-1.sku", "is not in the event"),
        ("data.lines.²", "is not in the event"),
        ("data.n.deeper", "is not in the event"),
        ("subject", "is not in the event"),
        ("data.yes", "neither text nor an integer"),
        ("data.half", "neither text nor an integer"),
        ("data.lines", "neither text nor an integer"),
        ("data", "neither text nor an integer"),
        ("data.empty", "empty"),
        ("data.long", "513 bytes"),
        ("data..n", "is not in the event"),
    ],
)
def test_without_a_key_the_reason_is_told(path: str, reason: str) -> None:
    data = {"none": None, "n": 1, "lines": [{"sku": "a"}], "yes": True, "half": 0.5, "empty": "", "long": "x" * 513}
    with pytest.raises(NoInstanceKey, match=f"of agent 'orders', .*{reason}"):
        route("acme", event(data), [subscription(key=path)])


def test_every_subscription_to_the_type_gets_its_own_letter() -> None:
    subscribed = [
        subscription(),
        subscription(agent="audit", key=""),
        subscription(handler="order.placed"),
        subscription(event_type="order.cancelled"),
    ]
    letters = route("acme", event({"order_id": 5}), subscribed)
    assert [(letter.agent, letter.key, letter.body["handler"]) for letter in letters] == [
        ("orders", "5", ""), ("audit", "7", ""), ("orders", "5", "order.placed"),
    ]  # fmt: skip
    assert len({(letter.instance, letter.message_id) for letter in letters}) == 3
    assert len({letter.run for letter in letters}) == 3
    assert route("acme", event({"order_id": 5}), []) == []


def test_a_repeat_finds_the_same_letter_and_another_event_does_not() -> None:
    (first,) = route("acme", event({"order_id": "o"}), [subscription()])
    (again,) = route("acme", event({"order_id": "o"}), [subscription()])
    assert (again.message_id, again.run) == (first.message_id, first.run)
    for other in (
        CloudEvent(id="8", source="shop", type="order.placed", data={"order_id": "o"}),
        CloudEvent(id="7", source="shop2", type="order.placed", data={"order_id": "o"}),
    ):
        (letter,) = route("acme", other, [subscription()])
        assert letter.message_id != first.message_id
    (elsewhere,) = route("other", event({"order_id": "o"}), [subscription()])
    assert elsewhere.run != first.run
