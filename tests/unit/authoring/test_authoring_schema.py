"""The border between Python values and JSON: nothing is lost on the way, silently or otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from trunkline import BadInput, BadOutput, NotJson
from trunkline.authoring.schema import Shape, as_object
from trunkline.domain import codec

NAN = float("nan")


class Colour(Enum):
    RED = "red"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: datetime
    tags: tuple[str, ...] = ()


class Aliased(BaseModel):
    order_id: str = Field(alias="orderId")


class Loose(BaseModel):
    ratio: float | None = None
    anything: Any = None


@dataclass(slots=True)
class Slotted:
    ratio: float
    anything: Any = None


class Node(BaseModel):
    next: Node | None = None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 5),
        (None, None),
        (Any, {"a": [1, None, "x"]}),
        (bytes, b"abc"),
        (date, date(2026, 1, 2)),
        (timedelta, timedelta(hours=1, microseconds=5)),
        (Decimal, Decimal("1.50")),
        (UUID, UUID(int=5)),
        (Colour, Colour.RED),
        (Literal["a", "b"], "b"),
        (set[int], {1, 2}),
        (dict[int, str], {1: "a"}),
        (tuple[int, str], (1, "a")),
        (int | str, "5"),
        (list[Strict], [Strict(at=datetime(2026, 1, 1, tzinfo=UTC), tags=("a",))]),
        (Aliased, Aliased(orderId="o")),
        (Slotted, Slotted(0.5)),
        (Node, Node(next=Node())),
    ],
)
def test_what_is_encoded_decodes_to_an_equal_value(annotation, value):
    shape = Shape(annotation, target="it")
    assert shape.decode(shape.encode(value)) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists))
def test_any_value_is_kept_exactly_or_refused(value):
    shape = Shape(Any, target="it")
    try:
        encoded = shape.encode(value)
    except NotJson:
        return
    assert shape.decode(encoded) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, NAN),
        (Any, [NAN]),
        (Loose, Loose(ratio=NAN)),
        (Loose, Loose(anything={"a": [float("inf")]})),
        (Slotted, Slotted(NAN)),
        (Slotted, Slotted(0.5, Loose(ratio=NAN))),
    ],
)
def test_nan_is_refused_and_never_becomes_null(annotation, value):
    with pytest.raises(NotJson, match="NaN and infinities are not JSON numbers"):
        Shape(annotation, target="it").encode(value)
    with pytest.raises(NotJson, match="NaN and infinities are not JSON numbers"):
        codec.roundtrip({"inside": value})


def test_nothing_is_shared_with_what_was_given():
    shape = Shape(Any, target="it")
    given_ = {"a": [1]}
    encoded = shape.encode(given_)
    given_["a"].append(2)
    assert encoded == {"a": [1]}
    shape.decode(encoded)["a"].append(3)
    assert encoded == {"a": [1]}


def test_errors_name_the_place_and_do_not_repeat_the_value():
    shape = Shape(list[Strict], target="the order")
    with pytest.raises(BadInput) as caught:
        shape.decode([{"at": "secret"}, {"tags": [1]}, {}, {}, {}, {}, {}])
    text = str(caught.value)
    assert text.startswith("The input of the order does not fit its type: 0.at: Input should be a valid datetime")
    assert "and 3 more" in text
    assert "secret" not in text
    with pytest.raises(BadOutput):
        Shape(int, target="it", misfit=BadOutput).encode("x")


@pytest.mark.parametrize(
    ("schema", "wrapped"),
    [
        ({"type": "object", "properties": {}}, False),
        ({"type": "string"}, True),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object"}}}, True),
    ],
)
def test_models_are_given_objects_only(schema, wrapped):
    outer, is_wrapped = as_object(schema, "value")
    assert is_wrapped is wrapped
    assert outer["type"] == "object"
    assert outer.get("$defs") == schema.get("$defs")
    if wrapped:
        assert "$defs" not in outer["properties"]["value"]
