"""What an App refuses when it is declared, and with which advice."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import Agent, App, BadDeclaration, CloudEvent, Context, ToolContext, TrunklineError
from trunkline.domain.errors import BadName, NotJson
from trunkline.domain.status import OnBusy


class Order(BaseModel):
    id: str


class Needy(BaseModel):
    sku: str


class Basket(BaseModel):
    skus: list[str] = []


@pytest.fixture
def app() -> App:
    return App("shop")


async def good(ctx: Context, order: Order) -> str:
    """Handle an order."""
    return order.id


async def forgot_ctx(order: Order) -> str: ...


async def forgot_ctx_but_has_two(order: Order, note: str) -> str: ...


async def no_input(ctx: Context) -> str: ...


async def three(ctx: Context, order: Order, note: str) -> str: ...


async def tool_context(tc: ToolContext, order: Order) -> str: ...


async def keyword_only(ctx: Context, *, order: Order) -> str: ...


async def yields(ctx: Context, order: Order) -> Any:
    yield order


async def unresolved(ctx: Context, order: Missing) -> str: ...  # noqa: F821


async def needy(ctx: Context[Needy], order: Order) -> str: ...


async def opaque(ctx: Context, order: App) -> str: ...


def not_async(ctx: Context, order: Order) -> str: ...


HOW = "(ctx: Context, input: InputType) -> OutputType"


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (forgot_ctx, f"the first parameter of its function is not ctx. Write: async def forgot_ctx{HOW}"),
        (forgot_ctx_but_has_two, "the first parameter of its function is not ctx"),
        (tool_context, "the first parameter of its function is not ctx"),
        (no_input, "its function does not take ctx and one input"),
        (three, "its function does not take ctx and one input"),
        (keyword_only, "its function does not take ctx and one input"),
        (not_async, f"its function is not async. Write: async def not_async{HOW}"),
        (yields, "it yields"),
        (unresolved, "name 'Missing' is not defined. Import the type at run time"),
        (needy, "cannot be made (ValidationError). Give every field of the state a default"),
        (opaque, "has no JSON form"),
        ("orders", "'orders' is not a function"),
    ],
)
def test_what_cannot_be_a_handler(app, fn, says):
    with pytest.raises(BadDeclaration) as caught:
        app.agent("orders")(fn)
    assert says in str(caught.value)
    assert str(caught.value).startswith(("agent 'orders'", "unresolved()"))
    assert app.agents == {}


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "my orders"}, BadName, "'my orders' is not a legal agent name"),
        ({"name": "orders.eu"}, BadName, "'orders.eu'"),
        ({"name": 5}, BadName, "5 is not a legal agent name"),
        ({"on": "order placed"}, BadDeclaration, "'order placed' is not an event type"),
        ({"on": "order.*"}, BadDeclaration, "is not an event type"),
        ({"on": "order.placed", "key": "order_id.data x"}, BadDeclaration, 'Write "data.order_id"'),
        ({"on": "order.placed", "key": "data..id"}, BadDeclaration, "is not a path into an event"),
        ({"on": "order.placed", "key": ""}, BadDeclaration, "is not a path into an event"),
        ({"key": "data.id"}, BadDeclaration, 'there is no on=. Write on="order.placed", key="data.id"'),
        ({"on_busy": "wait"}, BadDeclaration, 'Choose one of "queue", "reject", "interrupt"'),
    ],
)
def test_options_of_an_agent(app, options, error, says):
    with pytest.raises(error) as caught:
        app.agent(**{"name": "orders", **options})(good)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"model": " "}, BadDeclaration, 'Write provider and name, such as model="openai/gpt-5-mini"'),
        ({"tools": [len]}, BadDeclaration, "Declare it: write @app.tool above def len(…)"),
        ({"tools": ["lookup"]}, BadDeclaration, "'lookup' in tools= is not a tool"),
        ({"max_turns": 0}, BadDeclaration, "max_turns: Input should be greater than or equal to 1"),
        ({"temperature": "hot"}, BadDeclaration, "temperature: Input should be a valid number"),
        ({"retries": 101}, BadDeclaration, "retries: Input should be less than or equal to 100"),
        ({"timeout": "long"}, BadDeclaration, "'long' is not a duration"),
        ({"run_timeout": "long"}, BadDeclaration, "run_timeout"),
        ({"pool": "a b"}, BadName, "pool name"),
        ({"output": App}, BadDeclaration, "has no JSON form"),
        ({"extra": {"seed": object()}}, NotJson, "extra="),
    ],
)
def test_options_of_a_model_driven_agent(app, options, error, says):
    with pytest.raises(error) as caught:
        app.llm_agent(**{"name": "triage", "model": "openai/x", **options})
    assert says in str(caught.value)
    assert app.agents == {}


def test_two_tools_of_one_name_in_an_agent(app):
    def lookup(x: int) -> int:
        return x

    with pytest.raises(BadDeclaration, match="it has two tools 'lookup'"):
        app.llm_agent("triage", model="m", tools=[app.tool(lookup), App("other").tool(lookup)])


def test_names_are_used_once(app):
    app.agent("orders")(good)
    app.signal("paid", Order)
    for declare in (
        lambda: app.agent("orders")(good),
        lambda: app.llm_agent("orders", model="m"),
        lambda: app.signal("paid", Order),
    ):
        with pytest.raises(BadDeclaration, match="of that name already"):
            declare()


def test_handlers_of_events(app):
    orders = app.agent("orders")(good)
    assert orders.spec.subscriptions == ()
    returned = orders.on("order.cancelled", key="subject")(good)
    assert returned is good
    assert [one.model_dump() for one in orders.spec.subscriptions] == [
        {"agent": "orders", "event_type": "order.cancelled", "key": "subject", "handler": "order.cancelled"}
    ]
    with pytest.raises(BadDeclaration, match="this agent handles that event type already"):
        orders.on("order.cancelled")(good)
    with pytest.raises(BadDeclaration, match="the first parameter of its function is not ctx"):
        orders.on("order.shipped")(forgot_ctx)
    with pytest.raises(BadDeclaration, match="is not an event type"):
        orders.on("order/shipped")


def test_a_handler_of_an_event_has_the_state_of_its_agent(app):
    async def basket(ctx: Context[Basket], sku: str) -> int: ...

    async def other(ctx: Context[Order], sku: str) -> None: ...

    baskets = app.agent("baskets")(basket)
    baskets.on("basket.emptied")(basket)
    with pytest.raises(BadDeclaration, match=r"another state than the agent's. Write ctx: Context\[Basket\]"):
        baskets.on("basket.lost")(other)


def test_the_spec_of_an_agent(app):
    agent = app.agent("orders", on="order.placed", key="data.id", on_busy="reject")(good)
    assert isinstance(agent, Agent)
    spec = agent.spec
    assert (spec.name, spec.app, spec.kind, spec.on_busy) == ("orders", "shop", "function", OnBusy.REJECT)
    assert spec.description == "Handle an order."
    assert spec.input_schema["properties"]["id"]["type"] == "string"
    assert spec.output_schema == {"type": "string"}
    assert spec.state_schema is None


def test_what_is_not_annotated_is_any_json(app):
    async def handler(ctx, anything):
        return anything

    spec = app.agent("any")(handler).spec
    assert (spec.input_schema, spec.output_schema) == ({}, {})


def test_the_whole_event_may_be_the_input(app):
    async def handler(ctx: Context, event: CloudEvent) -> None: ...

    assert app.agent("any", on="a.b")(handler).spec.input_schema["title"] == "CloudEvent"


@pytest.mark.parametrize(
    ("args", "options", "says"),
    [
        (("tick", "* *", "a.b"), {}, "the schedule '* *' is not understood"),
        (("tick", "every day", "a.b"), {}, "is not understood"),
        (("tick", None, "a.b"), {}, "is not understood"),
        (("tick", "* * * * *", "a b"), {}, "'a b' is not an event type"),
        (("tick", "* * * * *", "a.b"), {"tz": "Mars/Base"}, "the time zone 'Mars/Base' is unknown"),
        (("a b", "* * * * *", "a.b"), {}, "'a b' is not a legal sensor name"),
        (("tick", "* * * * *", "a.b"), {"data": object()}, "cannot be encoded as JSON"),
    ],
)
def test_schedules_that_are_not_understood(app, args, options, says):
    with pytest.raises(TrunklineError) as caught:
        app.cron(*args, **options)
    assert says in str(caught.value)
    assert app.sensors == {}


def test_sensors(app):
    class Inbox:
        name = "inbox"

        async def run(self, publish): ...

    app.cron("tick", "*/5 * * * *", "clock.ticked", tz="Europe/Paris", data={"a": (1,)})
    app.sensor(Inbox())
    assert list(app.sensors) == ["tick", "inbox"]
    assert app.sensors["tick"].data == {"a": [1]}
    with pytest.raises(BadDeclaration, match="of that name already"):
        app.sensor(Inbox())
    with pytest.raises(BadDeclaration, match=r"it has no async run\(\)"):
        app.sensor(type("Deaf", (), {"name": "deaf", "run": print})())
    with pytest.raises(BadName):
        app.sensor(object())


def test_an_app_has_a_legal_name():
    with pytest.raises(BadName, match="'my app' is not a legal app name"):
        App("my app")
