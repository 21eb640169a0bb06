"""A sample fits its schema, whatever the schema; and where none is to be guessed, that is said."""

from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, TypeAdapter

from trunkline.chaos.inputs import NoSample, sample
from trunkline.domain import codec


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    sku: str = Field(min_length=3, max_length=5)
    pieces: int = Field(gt=0, le=9)
    price: float = Field(gt=0.2, lt=0.4)


class Tree(BaseModel):
    name: str
    left: Tree | None
    right: Tree | None
    children: list[Tree]


class Order(BaseModel):
    kind: Literal["order"]
    colour: Colour
    lines: list[Line] = Field(min_length=2)
    pair: tuple[int, str]
    tree: Tree
    either: int | str
    nothing: None
    by_name: dict[str, int]
    free: Any
    code: str = Field(pattern=r"^[A-Z]\d+$")
    note: str = "as it is"


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(-50, 50), st.integers(0, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))
    words = st.sampled_from([("minimum", "maximum"), ("minimum",), ("maximum",), ()])
    plain = st.builds(
        lambda kind, pair, chosen: {
            "type": kind, **{word: pair[0] if word == "minimum" else pair[1] for word in chosen}
        },
        st.sampled_from(["integer", "number"]), bounds, words,
    )  # fmt: skip
    beyond = st.builds(
        lambda low, step: {
            "type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + 20, "multipleOf": step
        },
        st.integers(-50, 50), st.integers(1, 9),
    )  # fmt: skip
    return plain | beyond


def texts() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 30), st.integers(0, 30),
    )  # fmt: skip


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)
    return st.builds(
        lambda given, values, least, closed: {
            "type": "object",
            "properties": dict(zip(given, values, strict=False)),
            "required": given[: len(given) // 2],
            "minProperties": min(least, len(given)) if closed else least,
            **({"additionalProperties": False} if closed else {}),
        },
        names, st.lists(inner, min_size=6, max_size=6), st.integers(0, 8), st.booleans(),
    )  # fmt: skip


def arrays(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    least = st.integers(0, 3)
    plain = st.builds(lambda item, n: {"type": "array", "items": item, "minItems": n}, inner, least)
    first = st.lists(inner, min_size=1, max_size=2)
    return plain | st.builds(lambda array, items: {**array, "prefixItems": items}, plain, first)


PLAIN = (
    numbers()
    | texts()
    | st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, {"enum": [1, "b", None]}, {"const": [1]}])
    | st.just({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True})
    | st.just({"$ref": "#/$defs/Text"})
)
SCHEMAS = st.recursive(
    PLAIN,
    lambda inner: (
        objects(inner)
        | arrays(inner)
        | st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)
        | st.builds(lambda one: {"allOf": [one], "description": "with more"}, inner)
    ),
    max_leaves=8,
).map(lambda schema: {**schema, "$defs": {"Text": {"type": "string", "minLength": 2}}})


@given(schema=SCHEMAS, number=st.integers(1, 10_000))
def test_a_sample_fits_its_schema(schema: dict[str, Any], number: int) -> None:
    Draft202012Validator(schema).validate(sample(schema, number))


@pytest.mark.parametrize("number", [1, 2, 77])
def test_a_sample_of_a_model_is_one(number: int) -> None:
    schema = Order.model_json_schema()
    made = sample(schema, number)
    Draft202012Validator(schema).validate(made)
    order = Order.model_validate_json(codec.dumps(made))
    assert (order.note, order.tree.left, order.tree.children) == ("as it is", None, [])


@pytest.mark.parametrize("type_", [str, int, float, dict[str, Any], list[int], bytes, datetime, UUID, Decimal])
def test_plain_types_have_samples(type_: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    adapter.validate_json(codec.dumps(sample(adapter.json_schema(), 3)))


def test_samples_differ_by_their_number() -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
    made = [sample({**schema, "required": ["id", "n"]}, number) for number in (1, 2, 3)]
    assert made == [{"id": f"id-{number}", "n": number} for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "pattern": "^(foo|bar){7}$"}, "the pattern"),
        ({"type": "string", "pattern": "("}, "the pattern"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no number"),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, "no number"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "to differ"),
        ({"$ref": "#/$defs/Nowhere"}, "leads nowhere"),
        ({"$ref": "#"}, "holds itself"),
        ({"type": "fish"}, "unknown type"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "nothing fits"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "holds itself"),
    ],
)
def test_what_cannot_be_guessed_is_said(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(NoSample, match=words):
        sample(schema)
