"""Synchronous functions in threads: what they raise reaches whoever waits for them, even what no future takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from trunkline import App, Happened, NotHappened, ToolContext
from trunkline.authoring.local_call import LocalCall, LocalFunction

app = App("threads")


def found_out(sku: str) -> Happened[str] | NotHappened:
    return Happened(look_up(sku))


@app.tool(effect="unsafe", probe=found_out)
def look_up(sku: str) -> str:
    return next(row for row in ("a", "b") if row == sku)


def local() -> str:
    return next(iter(()))


CALLS: dict[str, Callable[[], Awaitable[Any]]] = {
    "tool 'look_up'": lambda: look_up.invoke(ToolContext.local("look_up"), {"sku": "c"}),
    "the probe of tool 'look_up'": lambda: look_up.find_out(ToolContext.local("look_up"), {"sku": "c"}),
    "step 'local'": LocalCall(local, (), LocalFunction.of(local, globals()), 60.0).run,
}


@pytest.mark.parametrize("what", CALLS)
async def test_a_stop_iteration_is_an_error_like_any_other(what: str) -> None:
    with pytest.raises(RuntimeError, match=f"^{what} raised StopIteration$"):
        await asyncio.wait_for(CALLS[what](), 5)
