"""The AsyncAPI document: whole, and about the subjects that the code uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from trunkline.bus.asyncapi import document
from trunkline.bus.subjects import Subjects
from trunkline.domain.work import BUS_BODIES
from trunkline_workers.llm.service import durable as pool_durable
from trunkline_workers.tool.service import durable

DOCUMENT = document("tl", "1.2.3")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 20
    for reference in found:
        assert resolve(reference)


def test_every_body_is_described_and_used() -> None:
    used = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}
    assert used == {"CloudEvent"} | {body.__name__ for body in BUS_BODIES}
    assert used <= set(DOCUMENT["components"]["schemas"])


def test_every_parameter_of_an_address_is_described() -> None:
    for channel in DOCUMENT["channels"].values():
        named = set(re.findall(r"{(\w+)}", channel["address"] or ""))
        assert named == set(channel.get("parameters", {}))


def test_addresses_are_those_of_the_code() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert Subjects("tl").tool("{tenant}", "{app}", "{tool}") in addresses
    assert "tl.{tenant}.event.{type}" in addresses
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_a_worker_of_others_shares_the_consumers_of_ours() -> None:
    text = DOCUMENT["info"]["description"]
    assert f"`{durable('<tenant>', '<app>', '<name>')}`" in text
    assert f"`{pool_durable('<tenant>', '<pool>')}`" in text


def test_a_permit_is_a_question_with_an_answer() -> None:
    permit = DOCUMENT["operations"]["permit"]
    assert permit["action"] == "receive"
    assert resolve(permit["reply"]["channel"]["$ref"])["messages"].keys() == {"PermitAnswer"}
