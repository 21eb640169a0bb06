"""The types of the decorators that ``App`` hands out: what a function becomes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from trunkline.authoring.agent import Agent
from trunkline.authoring.context import Context
from trunkline.authoring.tool import AsyncTool, SyncTool
from trunkline.authoring.tool_context import ToolContext

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class ToolDecorator(Protocol):
    """``@app.tool(effect=…)``: the tool takes what the function takes, without its ``ToolContext``."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the more special function comes first
        self, fn: Callable[Concatenate[ToolContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTool[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTool[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[ToolContext, P], R], /) -> SyncTool[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncTool[P, R]: ...


EffectName = Literal["pure", "idempotent", "unsafe"]
OnBusyName = Literal["queue", "reject", "interrupt"]
RestartName = Literal["permanent", "transient", "temporary"]


class AgentDecorator(Protocol):
    """``@app.agent("name")``: the agent takes the function's second parameter, and returns what it returns."""

    def __call__(self, fn: Callable[[Context[S], I], Coroutine[Any, Any, O]], /) -> Agent[I, O]: ...
