"""Tools: their schemas from annotations and docstrings, their arguments, their results, and what cannot be one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from trunkline import App, BadDeclaration, BadInput, BadOutput, NotJson, RetryPolicy, ToolContext
from trunkline.domain.errors import BadName, TrunklineError

if TYPE_CHECKING:
    from decimal import Decimal


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Item(BaseModel):
    sku: str
    count: int = 1


@dataclass
class Place:
    shelf: int


@pytest.fixture
def app() -> App:
    return App("shop")


def google(order_id: str, note: str = "none") -> str:
    """Find an order.

    It may take a while.

    Args:
        order_id: The order's number,
            as printed.
        note: Whatever you like.

    Returns:
        What was found.
    """
    return order_id + note


def numpy(order_id: str, note: str = "none") -> str:
    """Find an order.

    It may take a while.

    Parameters
    ----------
    order_id : str
        The order's number,
        as printed.
    note : str
        Whatever you like.

    Returns
    -------
    str
        What was found.
    """
    return order_id + note


def sphinx(order_id: str, note: str = "none") -> str:
    """Find an order.

    It may take a while.

    :param order_id: The order's number,
        as printed.
    :param note: Whatever you like.
    :returns: What was found.
    """
    return order_id + note


@pytest.mark.parametrize("fn", [google, numpy, sphinx])
def test_descriptions_come_from_the_docstring(app, fn):
    spec = app.tool(fn).spec
    assert spec.description == "Find an order.\n\nIt may take a while."
    assert spec.input_schema["properties"]["order_id"]["description"] == "The order's number, as printed."
    assert spec.input_schema["properties"]["note"] == {
        "description": "Whatever you like.", "default": "none", "title": "Note", "type": "string",
    }  # fmt: skip
    assert spec.input_schema["required"] == ["order_id"]


def test_a_docstring_without_sections_is_the_description_as_it_is(app):
    def tool(x: int) -> int:
        """Do it: carefully."""
        return x

    assert app.tool(tool).spec.description == "Do it: carefully."


def test_annotations_with_a_field_keep_their_own_description_and_limits(app):
    @app.tool
    def pick(count: Annotated[int, Field(gt=0, description="how many")], *, sizes: list[Size]) -> None:
        """Pick.

        Args:
            sizes: Which.
        """

    properties = pick.spec.input_schema["properties"]
    assert properties["count"] == {
        "description": "how many",
        "exclusiveMinimum": 0,
        "title": "Count",
        "type": "integer",
    }
    assert pick.bind((1,), {"sizes": [Size.SMALL, "l"]}) == {"count": 1, "sizes": ["s", "l"]}
    with pytest.raises(BadInput, match="count: Input should be greater than 0"):
        pick.bind((0,), {"sizes": []})


def test_names_that_pydantic_models_could_not_have(app):
    @app.tool
    def odd(copy: int, _hidden: str, model_config: bool, schema: float, from_: list[int]) -> int:
        return copy

    assert odd.bind((1, "x", True, 0.5, [1]), {}) == {
        "copy": 1, "_hidden": "x", "model_config": True, "schema": 0.5, "from_": [1],
    }  # fmt: skip


async def test_values_cross_as_json_and_come_back_as_python(app):
    @app.tool
    async def ship(item: Item, at: datetime, place: Place, size: Size = Size.SMALL) -> dict[str, Item]:
        assert isinstance(item, Item)
        assert isinstance(at, datetime)
        assert isinstance(place, Place)
        return {size.name: item}

    at = datetime(2026, 1, 2, tzinfo=UTC)
    arguments = ship.bind((Item(sku="a"),), {"at": at, "place": Place(shelf=3)})
    assert arguments == {"item": {"sku": "a", "count": 1}, "at": "2026-01-02T00:00:00Z", "place": {"shelf": 3}}
    value = await ship.invoke(ToolContext.local("ship"), arguments)
    assert value == {"SMALL": {"sku": "a", "count": 1}}
    assert ship.decode(value) == {"SMALL": Item(sku="a")}


async def test_what_was_recorded_cannot_be_changed_through_what_was_passed(app):
    @app.tool
    def keep(items: list[Any]) -> Any:
        return items

    given = [[1]]
    recorded = keep.bind((given,), {})
    given[0].append(2)
    assert recorded == {"items": [[1]]}
    value = {"a": [1]}
    keep.decode(value)["a"].append(2)
    assert value == {"a": [1]}


async def test_a_synchronous_tool_runs_in_a_thread_with_its_context(app):
    import threading

    @app.tool
    def where(tc: ToolContext, /, x: int) -> list[Any]:
        return [threading.current_thread() is threading.main_thread(), tc.attempt, x]

    tc = ToolContext(idempotency_key="k", attempt=2)
    assert await where.invoke(tc, {"x": 5}) == [False, 2, 5]
    assert where(5) == [True, 1, 5]


def test_progress_reaches_who_watches_and_must_be_json(app):
    seen = []
    tc = ToolContext(idempotency_key="k", on_progress=lambda text, data: seen.append((text, data)))
    tc.progress("half", {"of": (1, 2)})
    assert seen == [("half", {"of": [1, 2]})]
    with pytest.raises(NotJson):
        tc.progress(data=object())


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "missing a required argument: 'sku'; it takes (sku: str, count: int = 1)"),
        (("a", 1, 2), {}, "too many positional arguments"),
        (("a",), {"colour": "red"}, "unexpected keyword argument 'colour'"),
        (("a", "many"), {}, "count: Input should be a valid integer"),
        ((5,), {}, "sku: Input should be a valid string"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_they_are_passed(app, args, kwargs, says):
    @app.tool
    def order(sku: str, count: int = 1) -> None: ...

    with pytest.raises(BadInput) as caught:
        order.bind(args, kwargs)
    assert str(caught.value).startswith("The input of tool 'order' does not fit its type: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("value", [object(), float("nan"), "a\x00b", "\ud800", {object()}, lambda: 1])
def test_arguments_without_a_json_form_are_refused(app, value):
    @app.tool
    def take(value: Any) -> None: ...

    with pytest.raises(NotJson):
        take.bind((value,), {})


@pytest.mark.parametrize("arguments", [None, [], "x", {"sku": "a", "extra": 1}, {}, {"sku": None}])
def test_json_arguments_that_do_not_fit_are_refused(app, arguments):
    @app.tool
    def order(sku: str) -> None: ...

    with pytest.raises(BadInput, match="tool 'order'"):
        order.validate(arguments)


async def test_a_result_that_does_not_fit_is_refused(app):
    @app.tool
    async def count() -> int:
        return "many"  # type: ignore[return-value]

    @app.tool
    async def thing() -> Any:
        return object()

    with pytest.raises(BadOutput, match="What tool 'count' returned does not fit its annotation"):
        await count.invoke(ToolContext.local("count"), {})
    with pytest.raises(NotJson):
        await thing.invoke(ToolContext.local("thing"), {})


def test_the_policy_reaches_the_spec(app):
    policy = RetryPolicy(retries=5, base=1, cap=9)
    tool = app.tool(name="find-it", timeout="1m", retries=policy, concurrency=2, rate=0.5, needs_approval=True)(google)
    spec = tool.spec
    assert (spec.name, spec.timeout, spec.retry, spec.concurrency, spec.rate) == ("find-it", 60.0, policy, 2, 0.5)
    assert spec.needs_approval
    assert app.tools == {"find-it": tool}


def unannotated(sku) -> None: ...


def greedy(*skus: str) -> None: ...


def options(**skus: str) -> None: ...


def late(sku: str, tc: ToolContext) -> None: ...


def bare_context(tc, sku: str) -> None: ...


def unresolved(price: Decimal) -> None: ...


def callback(fn: TypeErrorFactory) -> None: ...


def opaque(lock: Lock) -> None: ...


def yields(sku: str) -> Any:
    yield sku


class TypeErrorFactory:
    """A type that has no JSON form."""


Lock = type("Lock", (), {})


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (unannotated, "the parameter 'sku' has no annotation. Write its type: sku: str"),
        (greedy, "it takes *skus"),
        (options, "it takes **skus"),
        (late, "ToolContext is not its first parameter"),
        (bare_context, "tc has no annotation. Write tc: ToolContext"),
        (unresolved, "an annotation cannot be resolved: name 'Decimal' is not defined. Import the type at run time"),
        (callback, "has no JSON form"),
        (opaque, "Use pydantic models, dataclasses, TypedDicts, or plain JSON types"),
        (yields, "it yields. Return the whole result"),
        (5, "5 is not a function. Write: @app.tool above async def"),
        (Item, "is not a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_it_is_declared(app, fn, says):
    with pytest.raises(BadDeclaration) as caught:
        app.tool(fn)
    assert says in str(caught.value)
    assert app.tools == {}


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "a b"}, BadName, "'a b' is not a legal tool name"),
        ({"effect": "harmless"}, BadDeclaration, 'Choose one of "pure", "idempotent", "unsafe"'),
        ({"effect": "unsafe", "retries": 1}, BadDeclaration, "an unsafe tool is never repeated"),
        ({"probe": print}, BadDeclaration, "it has probe=, and is not unsafe"),
        ({"effect": "unsafe", "probe": print}, BadDeclaration, "is not a function"),
        (
            {"effect": "unsafe", "probe": lambda order: None},
            BadDeclaration,
            "it takes (order), and the tool (order_id, note)",
        ),
        ({"needs_approval": "soon"}, BadDeclaration, "'soon' is not a duration"),
        ({"timeout": "soon"}, BadDeclaration, "'soon' is not a duration"),
        ({"timeout": 0}, BadDeclaration, "timeout= is zero"),
        ({"retries": -1}, BadDeclaration, "retries: Input should be greater than or equal to 0"),
        ({"retries": "often"}, BadDeclaration, "retries: Input should be a valid integer"),
        ({"concurrency": 0}, BadDeclaration, "concurrency: Input should be greater than or equal to 1"),
        ({"rate": 0}, BadDeclaration, "rate: Input should be greater than 0"),
    ],
)
def test_policies_out_of_range_are_refused_when_they_are_declared(app, options, error, says):
    with pytest.raises(error) as caught:
        app.tool(**options)(google)
    assert says in str(caught.value)


def test_a_name_may_be_used_once(app):
    app.tool(google)
    with pytest.raises(BadDeclaration, match="tool 'google': this app has a tool of that name already"):
        app.tool(google)


def test_types_that_are_local_to_a_function_resolve(app):
    class Local(BaseModel):
        x: int

    @app.tool
    def use(value: Local) -> Local:
        return value

    assert use.bind((Local(x=1),), {}) == {"value": {"x": 1}}


def test_every_error_of_a_declaration_is_one_of_ours():
    assert issubclass(BadDeclaration, TrunklineError)
