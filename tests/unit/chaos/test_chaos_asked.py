"""What is asked of chaos is checked against the App before anything is started."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field

from trunkline import App, Context
from trunkline.chaos import asked
from trunkline.chaos.plan import Part, Pausable
from trunkline.cli.arguments import json_in
from trunkline.domain.errors import BadInput, BadJson, NotUnderstood


class Order(BaseModel):
    id: str
    cents: int = Field(gt=0)


def never(value: str) -> str:
    raise ValueError("nothing is good enough")


shop, empty = App("shop"), App("empty")
paid = shop.signal("paid", int)


@shop.tool
async def look(order_id: str) -> str:
    return order_id


@shop.agent("orders", on="order.placed")
async def orders(ctx: Context, order: Order) -> str:
    return await ctx.call(look, order.id)


@shop.agent("picky")
async def picky(ctx: Context, name: Annotated[str, AfterValidator(never)]) -> str:
    return name


@empty.agent("only")
async def only(ctx: Context, n: int) -> int:
    return n


def values(agent: Any, text: str) -> Any:
    return asked.values(agent, text, "INPUT", lambda whole: json_in(whole, "INPUT"))


@pytest.mark.parametrize(
    ("app", "kill", "pause", "wipe", "found"),
    [
        (shop, [], [], False, ["kill agents", "kill tools"]),
        (empty, [], [], False, ["kill agents"]),
        (empty, [Part.NATS], [Pausable.AGENTS], True, ["kill nats", "pause agents", "wipe nats"]),
    ],
)
def test_what_is_struck(app: App, kill: list[Part], pause: list[Pausable], wipe: bool, found: list[str]) -> None:
    assert [str(strike) for strike in asked.strikes(app, kill, pause, wipe=wipe)] == found


@pytest.mark.parametrize(("kill", "pause"), [([Part.LLM], []), ([], [Pausable.LLM])])
def test_workers_without_work_are_refused(kill: list[Part], pause: list[Pausable]) -> None:
    with pytest.raises(NotUnderstood, match="llm: the App has no work"):
        asked.strikes(shop, kill, pause, wipe=False)


def test_the_only_agent_need_not_be_named() -> None:
    assert (asked.agent(empty, ""), asked.agent(shop, "orders")) == ("only", "orders")
    with pytest.raises(NotUnderstood, match=r"AGENT: the App's agents are: orders, picky"):
        asked.agent(shop, "")
    with pytest.raises(NotUnderstood, match="'nobody'"):
        asked.agent(empty, "nobody")


def test_events_and_signals_must_be_known() -> None:
    assert asked.subscriber(shop, "order.placed") == "orders"
    with pytest.raises(NotUnderstood, match=r"order\.gone"):
        asked.subscriber(shop, "order.gone")
    asked.check_signals(shop, ["paid"])
    with pytest.raises(NotUnderstood, match="signals are: paid"):
        asked.check_signals(shop, ["late"])


def test_each_run_gets_an_input_of_its_own() -> None:
    given = values(orders, '{"id": "o-{n}", "cents": {n}}')
    assert [given(number) for number in (1, 12)] == [{"id": "o-1", "cents": 1}, {"id": "o-12", "cents": 12}]
    made = values(orders, "")
    assert made(7) == {"id": "id-7", "cents": 7}


@pytest.mark.parametrize(
    ("agent", "text", "error"),
    [(orders, '{"id": "o"}', BadInput), (orders, "{", BadJson), (picky, "x", BadInput), (picky, "", NotUnderstood)],
)
def test_an_input_that_does_not_fit_is_refused_before_the_start(agent: Any, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        values(agent, text)
