"""CloudEvents from NATS messages: both modes say the same, and what is wrong is named."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.bus.events import STRUCTURED, decode_event, message_id
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadEvent, BadJson, PayloadTooLarge
from trunkline.domain.events import CloudEvent

LIMIT = 10_000
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "order.placed"}

kept = st.characters(exclude_categories=["Cs", "Cc"])
text = st.text(kept, max_size=30)
words = st.text(kept, min_size=1, max_size=30)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
events = st.builds(
    CloudEvent,
    id=words,
    source=words,
    type=st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True),
    subject=st.none() | words,
    data=values,
    traceparent=words,
)


def binary(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """``event`` as the binding's text has it."""
    attributes = event.to_body()
    data = attributes.pop("data", None)
    headers = {f"ce-{name}": quote(str(value), safe="!#$&'()*+,/:;=?@[]") for name, value in attributes.items()}
    return headers, b"" if data is None else dumps(data)


@given(events)
def test_structured_events_come_back_as_they_were(event: CloudEvent) -> None:
    body = dumps(event.to_body())
    for headers in ({}, {"Content-Type": STRUCTURED}, {"content-type": "Application/CloudEvents+JSON; charset=UTF-8"}):
        assert decode_event(headers, body, LIMIT) == event


@given(events)
def test_binary_events_come_back_as_they_were(event: CloudEvent) -> None:
    headers, data = binary(event)
    assert all(value.isascii() and value.isprintable() and " " not in value for value in headers.values())
    assert decode_event(headers, data, LIMIT) == event


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from([*BINARY, "content-type", "ce-time"]), text))
def test_noise_is_an_event_that_can_be_kept_or_a_named_error(data: bytes, headers: dict[str, str]) -> None:
    try:
        event = decode_event(headers, data, LIMIT)
    except (BadEvent, BadJson, PayloadTooLarge):
        return
    assert loads(dumps(event.to_body())) == event.to_body()


@given(words, words)
def test_the_message_id_is_that_of_source_and_id(source: str, id_: str) -> None:
    first = CloudEvent(source=source, id=id_, type="a", data=1)
    again = CloudEvent(source=source, id=id_, type="b", data=2)
    assert message_id(first) == message_id(again)
    assert message_id(first) != message_id(CloudEvent(source=source, id=id_ + "x", type="a"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ('"Euro \\"€\\" 😀"', 'Euro "€" 😀'),
        ("%41%62", "Ab"),
        ("%e2%82%ac", "€"),
        ("100%2525", "100%25"),
        ("plus+stays", "plus+stays"),
    ],
)
def test_header_values_are_unquoted_and_decoded_once(given: str, meant: str) -> None:
    assert decode_event({**BINARY, "ce-subject": given}, b"", LIMIT).subject == meant


@pytest.mark.parametrize("broken", ["%C0%A0", "%ff", "100%", "%zz", "%00", "a%0Ab"])
def test_broken_header_values_are_refused(broken: str) -> None:
    with pytest.raises(BadEvent, match="ce-subject"):
        decode_event({**BINARY, "ce-subject": broken}, b"", LIMIT)


@pytest.mark.parametrize(
    ("content_type", "data", "event"),
    [
        ("application/json", b'{"n": 1}', {"data": {"n": 1}}),
        ("application/vnd.shop+json; charset=utf-8", b"[1]", {"data": [1]}),
        ("text/plain", "naïve".encode(), {"data": "naïve"}),
        ("image/png", b"\x89PNG", {"data_base64": base64.b64encode(b"\x89PNG").decode()}),
        ("application/json", b"", {"data": None}),
    ],
)
@pytest.mark.parametrize("header", ["ce-datacontenttype", "Content-Type"])
def test_binary_data_is_kept_by_its_type(header: str, content_type: str, data: bytes, event: dict[str, Any]) -> None:
    decoded = decode_event({**BINARY, header: content_type}, data, LIMIT)
    assert decoded.datacontenttype == content_type
    assert {name: getattr(decoded, name) for name in event} == event


def test_binary_data_without_a_type_is_json() -> None:
    assert decode_event(BINARY, b'{"n": 1}', LIMIT).data == {"n": 1}
    with pytest.raises(BadJson, match="data"):
        decode_event(BINARY, b"{n: 1}", LIMIT)


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type"])
def test_a_missing_attribute_is_named_in_both_modes(attribute: str) -> None:
    headers = {name: value for name, value in BINARY.items() if name != f"ce-{attribute}"}
    body = {name.removeprefix("ce-"): value for name, value in headers.items()}
    with pytest.raises(BadEvent, match=attribute):
        decode_event(headers, b"", LIMIT)
    with pytest.raises(BadEvent, match=attribute):
        decode_event({}, dumps(body), LIMIT)


@pytest.mark.parametrize(
    ("headers", "body", "error", "reason"),
    [
        ({}, b"", BadJson, "the event"),
        ({}, b"[]", BadEvent, "not a JSON object"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"order placed"}', BadEvent, "type"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a.*"}', BadEvent, "type"),
        ({}, b'{"specversion":"0.3","id":"1","source":"s","type":"a"}', BadEvent, "specversion"),
        ({}, b'{"specversion":"1.0","id":"","source":"s","type":"a"}', BadEvent, "id"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","time":"never"}', BadEvent, "time"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","BadName":"x"}', BadEvent, "BadName"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","data_base64":"?"}', BadEvent, "base64"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","data":NaN}', BadJson, "the event"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","data":"\\u0000"}', BadJson, "NUL"),
        ({}, b'{"specversion":"1.0","id":"1","source":"s","type":"a","data":"\\ud800"}', BadJson, "the event"),
        ({}, b"x" * (LIMIT + 1), PayloadTooLarge, "10001"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", BadEvent, "batch"),
        ({"content-type": "application/cloudevents+avro"}, b"", BadEvent, "avro"),
        ({**BINARY, "ce-data": "1"}, b"", BadEvent, "ce-data"),
        ({**BINARY, "content-type": "text/plain"}, b"\xff", BadEvent, "not UTF-8"),
        ({**BINARY, "content-type": "text/plain"}, b"a\x00b", BadEvent, "NUL"),
        (BINARY, b"1" * (LIMIT + 1), PayloadTooLarge, "10001"),
    ],
)
def test_bad_events_are_refused_with_the_reason(
    headers: dict[str, str], body: bytes, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        decode_event(headers, body, LIMIT)
