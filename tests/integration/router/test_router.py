"""From an event on NATS to mail: once for each subscriber, however often it comes; and never silently lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routing import TENANT, Exchange, event

from integration.bus.listening import say
from trunkline.bus import stored
from trunkline.domain.ids import instance_id
from trunkline.domain.work import Wake
from trunkline_workers.router.service import DURABLE, Router


async def test_an_outside_event_becomes_mail_a_run_and_a_wake(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    await exchange.publish(event(1))
    assert await eventually(exchange.mail) == [("orders", "o1", "", "e1")]
    assert await exchange.rows("select agent, key, status from runs") == [("orders", "o1", "accepted")]
    assert await eventually(lambda: exchange.woken("orders")) == {instance_id(TENANT, "orders", "o1")}
    await eventually(exchange.settled)


async def test_an_event_in_binary_mode_is_routed_too(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "subject", ""))
    headers = {"ce-specversion": "1.0", "ce-id": "b1", "ce-source": "/shop", "ce-type": "order.placed",
               "ce-subject": "caf%C3%A9 7", "content-type": "application/json"}  # fmt: skip
    await exchange.publish({"order_id": 7}, headers=headers)
    assert await eventually(exchange.mail) == [("orders", "café 7", "", "b1")]


async def test_a_repeated_event_is_taken_once(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    for number in (1, 1, 2, 1):
        await exchange.publish(event(number))
    await eventually(exchange.settled)
    assert [letter[1] for letter in await exchange.mail()] == ["o1", "o2"]


async def test_an_event_that_is_delivered_again_is_taken_once(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    for number in range(20):
        await exchange.publish(event(number))
    await eventually(exchange.settled)
    await exchange.router.stop()
    await stored.delete_reader(exchange.bus, "EVENTS", DURABLE)
    again = Router(exchange.db, exchange.bus, exchange.settings)
    await again.start()
    await eventually(exchange.settled)
    await again.stop()
    assert [letter[1] for letter in await exchange.mail()] == [f"o{number}" for number in range(20)]


async def test_every_subscriber_gets_its_own_letter(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe(
        "orders", ("order.placed", "data.order_id", ""), ("order.placed", "source", "order.placed")
    )
    await exchange.subscribe("audit", ("order.placed", "", ""), ("order.cancelled", "", ""))
    await exchange.publish(event(1))
    await eventually(exchange.settled)
    assert sorted(await exchange.mail()) == [
        ("audit", "e1", "", "e1"),
        ("orders", "/shop", "order.placed", "e1"),
        ("orders", "o1", "", "e1"),
    ]


async def test_a_subscription_holds_for_the_very_next_event(exchange: Exchange, eventually: Any) -> None:
    for number in range(5):
        await exchange.subscribe("orders", (f"kind.k{number}", "data.order_id", ""))
        await exchange.publish(event(number, type=f"kind.k{number}"), event_type=f"kind.k{number}")
        await eventually(exchange.settled)
    assert len(await exchange.mail()) == 5


async def test_tenants_do_not_hear_each_other(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""), tenant="acme")
    await exchange.publish(event(1))
    await exchange.publish(event(2), tenant="acme")
    await eventually(exchange.settled)
    assert await exchange.rows("select tenant, key from mailbox") == [("acme", "o2")]


async def test_what_nobody_wants_is_acknowledged_and_left(exchange: Exchange, eventually: Any) -> None:
    await exchange.publish(event(1))
    await eventually(exchange.settled)
    assert await exchange.mail() == []
    assert await exchange.dead_letters() == []


def _without(attribute: str) -> bytes:
    return json.dumps({name: value for name, value in event(1).items() if name != attribute}).encode()


BAD = {
    "malformed JSON": (b'{"specversion": "1.0", "id":', "JSON"),
    "no JSON at all": (b"\xff\xfe\x00", "JSON"),
    "empty": (b"", "JSON"),
    "not an object": (b"[1, 2]", "not a JSON object"),
    "NUL": (json.dumps(event(1, data={"order_id": "a\x00b"})).encode(), "NUL"),
    "a lone surrogate": (json.dumps(event(1, data={"order_id": "\ud800"})).encode(), "hex escape"),
    "NaN": (json.dumps(event(1, data={"order_id": "o", "n": float("nan")})).encode(), "JSON"),
    "a huge number": (b'{"specversion":"1.0","id":"1","source":"s","type":"order.placed","data":1e999}', "too large"),
    "without specversion": (_without("specversion"), "'specversion' is missing"),
    "without id": (_without("id"), "'id' is missing"),
    "without source": (_without("source"), "'source' is missing"),
    "without type": (_without("type"), "'type' is missing"),
    "another version": (json.dumps(event(1, specversion="0.3")).encode(), "specversion"),
    "another type than its subject": (json.dumps(event(1, type="order.lost")).encode(), "its subject says"),
    "oversized": (json.dumps(event(1, data={"order_id": "o", "text": "x" * 5000})).encode(), "the limit is 4096"),
    "without the key": (json.dumps(event(1, data={})).encode(), "data.order_id"),
    "a key that is an object": (json.dumps(event(1, data={"order_id": {}})).encode(), "neither text nor an integer"),
    "an empty key": (json.dumps(event(1, data={"order_id": ""})).encode(), "empty"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_event_becomes_one_dead_letter_with_its_reason(
    name: str, exchange: Exchange, eventually: Any
) -> None:
    body, reason = BAD[name]
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    await exchange.publish(body)
    await exchange.publish(event(2))
    await eventually(exchange.settled)
    [(tenant, source, subject, detail, kept)] = await exchange.dead_letters()
    assert (tenant, source, subject) == (TENANT, "event", exchange.bus.subjects.event(TENANT, "order.placed"))
    assert reason in detail
    assert "\x00" not in json.dumps(kept)
    assert [letter[1] for letter in await exchange.mail()] == ["o2"]


@pytest.mark.parametrize("tenant", [b"a\xff", b"a\x00b"])
async def test_a_subject_that_is_no_text_stops_nobody(tenant: bytes, exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    subject = exchange.settings.namespace.encode() + b"." + tenant + b".event.order.placed"
    await say(exchange.settings.nats_url, b"PUB " + subject + b" 8\r\nnonsense\r\n")
    await exchange.publish(event(1))
    await eventually(exchange.settled)
    [(kept, source, _, detail, _)] = await exchange.dead_letters()
    assert (kept, source) == (tenant.decode(errors="replace").replace("\x00", "\ufffd"), "event")
    assert "the event" in detail
    assert [letter[1] for letter in await exchange.mail()] == ["o1"]


async def test_a_key_that_one_subscriber_misses_does_not_hurt_another(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    await exchange.subscribe("billing", ("order.placed", "data.invoice", ""))
    await exchange.publish(event(1))
    await eventually(exchange.settled)
    assert await exchange.mail() == [("orders", "o1", "", "e1")]
    [(_, _, _, detail, body)] = await exchange.dead_letters()
    assert detail == "agent billing: the key 'data.invoice' is not in the event"
    assert body["id"] == "e1"


async def test_a_flood_is_routed_completely_by_two_routers(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    second = Router(exchange.db, exchange.bus, exchange.settings)
    await second.start()
    for number in range(1500):
        exchange.bus.publish_soon(
            exchange.bus.subjects.event(TENANT, "order.placed"), json.dumps(event(number)).encode()
        )
    await exchange.bus.drain()
    await eventually(exchange.settled, timeout=30)
    await second.stop()
    letters = await exchange.mail()
    assert len(letters) == 1500
    assert {letter[1] for letter in letters} == {f"o{number}" for number in range(1500)}


async def test_what_a_stopped_router_did_not_get_to_is_handed_back(exchange: Exchange, eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    for number in range(300):
        await exchange.publish(event(number))
    await exchange.router.stop()
    heir = Router(exchange.db, exchange.bus, exchange.settings)
    await heir.start()
    await eventually(exchange.settled)
    await heir.stop()
    assert len(await exchange.mail()) == 300


async def test_a_wake_is_offered_to_the_routers_own_worker_before_it_goes_out(
    exchange: Exchange, eventually: Any
) -> None:
    await exchange.subscribe("near", ("order.placed", "data.order_id", "order.placed"))
    await exchange.subscribe("far", ("order.placed", "data.order_id", "order.placed"))
    offered: list[str] = []

    def near(wake: Wake) -> bool:
        offered.append(wake.agent)
        return wake.agent == "near"

    exchange.router.near = near
    await exchange.publish(event(1))
    await eventually(lambda: exchange.woken("far"))
    assert sorted(offered) == ["far", "near"]
    assert await exchange.woken("near") == set()
