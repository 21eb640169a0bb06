"""What follows a commit may fail in the worker: that costs the activation, and nothing that the journal promised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline import App, Context
from trunkline.observe import faults
from trunkline.testing import ExchangeFactory

app = App("rounds")


@app.agent("round")
async def going_round(ctx: Context, left: int) -> int:
    await ctx.step(lambda: left, name="look")
    if left:
        ctx.continue_as_new(left - 1)
    return left


@pytest.fixture(autouse=True)
def _no_fault_stays() -> Iterator[None]:
    yield
    faults.configure("")


async def test_a_run_that_continues_begins_though_what_stands_before_it_fails(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        faults.configure("run-completed=fail@2")
        run = await tl.start(going_round, 3, key="r")
        assert await run.result(timeout=20) == 0
        again = await tl.start(going_round, 1, key="r")
        assert await again.result(timeout=20) == 0, "the instance was loaded anew"
