"""States of earlier versions are brought to the declared one, and what cannot be is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, Context
from trunkline.authoring.agent import Agent
from trunkline.domain.errors import BadDeclaration


class Money(BaseModel):
    cents: int = 0
    currency: str = "EUR"


def counted(version: int = 3) -> Agent[int, int]:
    app = App("upcasts")

    @app.agent("till", state_version=version)
    async def till(ctx: Context[Money], cents: int) -> int:
        ctx.state.cents += cents
        return ctx.state.cents

    return till


def till() -> Agent[int, int]:
    agent = counted()

    @agent.upcast(from_version=1)
    def from_euros(state: dict[str, Any]) -> dict[str, Any]:
        return {"cents": state.pop("euros") * 100}

    @agent.upcast(from_version=2)
    def with_currency(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "currency": "DEM"}

    return agent


def test_a_state_goes_through_every_version_and_is_left_as_it_was() -> None:
    states, old = till().state, {"euros": 3}
    assert states.read(old) == Money(cents=300, currency="DEM")
    assert states.read({"cents": 5, "$version": 2}) == Money(cents=5, currency="DEM")
    assert states.read({"cents": 5, "currency": "USD", "$version": 3}) == Money(cents=5, currency="USD")
    assert states.read(None) == Money()
    assert old == {"euros": 3}


def test_it_is_recorded_as_of_its_version_when_it_changed_and_only_then() -> None:
    states, old = till().state, {"euros": 3}
    assert states.record(Money(cents=1)) == {"cents": 1, "currency": "EUR", "$version": 3}
    value = states.read(old)
    assert states.changed(old, value) is None
    value.cents += 1
    assert states.changed(old, value) == {"cents": 301, "currency": "DEM", "$version": 3}
    assert states.changed(None, Money()) is None


def test_the_first_version_leaves_no_mark() -> None:
    states = counted(1).state
    assert states.record(Money(cents=1)) == {"cents": 1, "currency": "EUR"}


def test_what_cannot_be_read_is_objected_to() -> None:
    states = till().state
    assert states.objection(None) == states.objection({"euros": 3}) == states.objection({"$version": 3}) == ""
    assert "of version 4, and this code knows versions up to 3" in states.objection({"cents": 1, "$version": 4})
    assert "cannot be brought to 3: KeyError" in states.objection({"dollars": 3})
    assert "of version 2" in counted(1).state.objection({"cents": 1, "$version": 2})


def test_declarations_that_do_not_hold_are_refused() -> None:
    agent = counted()
    with pytest.raises(BadDeclaration, match="no upcast from 1"):
        _ = agent.spec
    agent.upcast(from_version=1)(dict)
    with pytest.raises(BadDeclaration, match="no upcast from 2"):
        _ = agent.spec
    agent.upcast(from_version=2)(dict)
    assert agent.spec.state_version == 3
    for version in (0, 3, "1", True):
        with pytest.raises(BadDeclaration):
            agent.upcast(from_version=version)(dict)  # type: ignore[arg-type]
    with pytest.raises(BadDeclaration, match="one already"):
        agent.upcast(from_version=1)(dict)

    async def later(state: dict[str, Any]) -> dict[str, Any]:
        return state

    with pytest.raises(BadDeclaration, match="plain function"):
        counted().upcast(from_version=1)(later)  # type: ignore[arg-type]
    for version in (0, -1, True, "2"):
        with pytest.raises(BadDeclaration, match="count up"):
            App("x").agent("till", state_version=version)  # type: ignore[arg-type]


def test_only_objects_have_versions() -> None:
    app = App("x")
    with pytest.raises(BadDeclaration, match="JSON object"):

        @app.agent("lister", state_version=2)
        async def lister(ctx: Context[list[int]], _: int) -> int:
            return 1
