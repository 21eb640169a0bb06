"""What stands around a handler's coroutine is a coroutine itself: nothing that comes out of it is taken for its end."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, ValidationInfo

from trunkline import App, Context, testing
from trunkline.authoring.handling import Handling

app = App("handling")


def read(value: Any, info: ValidationInfo) -> Any:
    """Raises where JSON is read, and not where it is written."""
    if info.mode == "json":
        raise StopIteration("not the end")
    return value


def written(_: Any) -> Any:
    raise StopIteration("not the end")


@app.agent("taking")
async def taking(ctx: Context, number: Annotated[int, AfterValidator(read)]) -> int:
    return number


@app.agent("giving")
async def giving(ctx: Context, number: int) -> Annotated[int, AfterValidator(written)]:
    return number


@pytest.mark.parametrize("agent", [taking, giving])
async def test_a_stop_iteration_in_a_check_fails_the_run(agent: Any) -> None:
    outcome = await testing.run(agent, 1)
    assert outcome.error is not None
    assert outcome.error["type"] == "RuntimeError"


def test_one_that_is_closed_before_it_began_never_begins() -> None:
    begun: list[int] = []
    handling = Handling(lambda: begun.append(1))  # type: ignore[arg-type, func-returns-value]
    with pytest.raises(LookupError, match="enough"):
        handling.throw(LookupError("enough"))
    handling.close()
    assert not begun


async def test_it_can_be_awaited_and_what_is_thrown_comes_to_the_handler() -> None:
    """As a restart does that sleeps first."""
    heard: list[str] = []

    class Waiting:
        def __await__(self) -> Any:
            return (yield self)

    async def handler() -> str:
        try:
            await Waiting()
        except LookupError as error:
            heard.append(str(error))
        return str(await Waiting())  # type: ignore[func-returns-value]

    class Frame:
        @staticmethod
        def result(value: str) -> str:
            return f"result {value}"

    async def outer() -> Any:
        return await Handling(lambda: (Frame(), handler()))  # type: ignore[arg-type, return-value]

    driven = outer()
    driven.send(None)
    driven.throw(LookupError("enough"))
    with pytest.raises(StopIteration) as end:
        driven.send(None)
    assert (heard, end.value.value) == (["enough"], "result None")
