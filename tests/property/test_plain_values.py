"""What is taken for plain JSON at a glance is exactly what its JSON is read back as."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from trunkline.authoring.schema import Arguments, Shape
from trunkline.domain import codec
from trunkline.domain.errors import BadInput, NotJson

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = scalars | st.lists(scalars, max_size=3) | st.tuples(scalars, scalars)


def slow(value: Any) -> Any:
    """Through the text, whatever it is."""
    text = codec.dumps(value)
    codec.check_finite(value)
    return from_json(text, allow_inf_nan=False)


@given(values)
def test_a_glance_and_the_text_come_to_the_same(value: Any) -> None:
    if codec.is_plain(value):
        assert from_json(to_json(value)) == value
        assert type(from_json(to_json(value))) is type(value)
    try:
        expected = slow(value)
    except NotJson:
        expected = NotJson
    try:
        got = codec.roundtrip(value)
    except NotJson:
        got = NotJson
    assert got == expected
    assert type(got) is type(expected)


@given(st.sampled_from([int, str, bool]), scalars)
def test_a_shape_of_a_plain_type_checks_what_does_not_fit(annotation: type, value: Any) -> None:
    shape: Shape[Any] = Shape(annotation, target="it")
    try:
        encoded = shape.encode(value)
    except (BadInput, NotJson):
        assert not (type(value) is annotation and codec.is_plain(value))
        return
    assert type(encoded) is annotation
    assert type(shape.decode(encoded)) is annotation


def order(sku: str, count: int, sure: bool) -> None: ...


def outcome_of(call: Callable[[], Any]) -> str:
    try:
        return repr(call())  # in which True is not 1
    except (BadInput, NotJson) as error:
        return str(error)


@given(
    st.lists(scalars, max_size=4) | st.tuples(st.text(), st.integers(), st.booleans()),
    st.dictionaries(st.sampled_from(["sku", "count", "sure", "price"]), scalars)
    | st.fixed_dictionaries({"sku": st.text(), "count": st.integers(), "sure": st.booleans()}),
)
def test_a_glance_at_arguments_tells_what_a_close_look_does(args: list[Any], sent: dict[str, Any]) -> None:
    parameters = list(inspect.signature(order, eval_str=True).parameters.values())
    glance, close = (Arguments(parameters, {}, "it") for _ in range(2))
    assert glance._plain is not None
    close._plain = None
    assert outcome_of(lambda: glance.bind(tuple(args), {})) == outcome_of(lambda: close.bind(tuple(args), {}))
    assert outcome_of(lambda: sorted(glance.check(sent).items())) == outcome_of(
        lambda: sorted(close.check(sent).items())
    )
