"""The stand-in asks for harmless tools alone, and answers in the form that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App
from trunkline.chaos.model import TEXT, stand_in
from trunkline.domain import codec
from trunkline.testing.replies import ToolCall

app = App("shop")


@app.tool(effect="pure")
def look(order_id: str) -> str:
    return order_id


@app.tool(effect="idempotent")
def refund(order_id: str) -> str:
    return order_id


@app.tool(effect="pure", needs_approval=True)
def peek(order_id: str) -> str:
    return order_id


class Verdict(BaseModel):
    cents: int


ASKED = [{"role": "user", "content": "?"}]
ANSWERED = [*ASKED, {"role": "assistant"}, {"role": "tool", "content": "x"}]


def offered(*names: str) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "parameters": app.tools[name].spec.input_schema}}
        for name in names
    ]


@pytest.mark.parametrize(
    ("messages", "names", "called"),
    [
        (ASKED, ("refund", "peek", "look"), ToolCall("look", {"order_id": "order_id-1"})),
        (ASKED, ("refund", "peek"), TEXT),
        (ANSWERED, ("look",), TEXT),
    ],
)
def test_it_calls_what_is_declared_pure_once(messages: list[Any], names: tuple[str, ...], called: Any) -> None:
    assert stand_in(app).script(messages, offered(*names), None) == called


def test_it_answers_in_the_form_that_was_asked_for() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "v", "schema": Verdict.model_json_schema()}}
    assert Verdict.model_validate(codec.loads(stand_in(app).script(ASKED, [], wanted))) == Verdict(cents=1)
