"""Restate's handlers, as two ASGI applications: the agents, and the tools that they call in *remote*."""

from __future__ import annotations

import restate

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS

_agents = restate.Service("agents")
_tools = restate.Service("tools")


async def noop(number: int) -> int:
    counter()()
    return number


@_tools.handler()
async def work(_ctx: restate.Context, number: int) -> int:
    counter()()
    return number


@_agents.handler()
async def local(ctx: restate.Context, number: int) -> int:
    for _ in range(STEPS):
        await ctx.run_typed("noop", noop, number=number)
    return number


@_agents.handler()
async def remote(ctx: restate.Context, number: int) -> int:
    for _ in range(STEPS):
        await ctx.service_call(work, arg=number)
    return number


agents = restate.app([_agents])
tools = restate.app([_tools])
