"""Probes: functions that ask the outside world what became of a call of an unsafe tool whose outcome was lost."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from trunkline.authoring.in_thread import in_thread
from trunkline.authoring.signatures import Scope, check_function, resolved
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain.errors import BadDeclaration, BadOutput

R = TypeVar("R")

_HOW = "Write: async def name(tc: ToolContext, …the tool's parameters…) -> Happened[…] | NotHappened"


@dataclass(frozen=True, slots=True)
class Happened(Generic[R]):
    """The call took effect, and this is what the tool would have returned."""

    result: R


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The call did not take effect, and no longer can: it is tried again."""


class Probe:
    """``fn`` takes what the tool takes: perhaps a ``ToolContext``, then ``parameters`` under the same names."""

    def __init__(self, fn: Callable[..., Any], *, tool: str, parameters: Sequence[str], scope: Scope) -> None:
        """Raises ``BadDeclaration`` when it is no function, or takes something else than its tool."""
        what = f"the probe of {tool}"
        check_function(fn, what, _HOW)
        taken = list(resolved(fn, scope).parameters.values())
        self._takes_context = bool(taken) and taken[0].annotation is ToolContext
        names = [parameter.name for parameter in taken[self._takes_context :]]
        if names != list(parameters):
            reason = f"it takes ({', '.join(names)}), and the tool ({', '.join(parameters)})"
            raise BadDeclaration(what=what, reason=reason, fix=_HOW)
        self._fn, self._what = fn, what

    async def __call__(
        self, tc: ToolContext, positional: Sequence[Any], keywords: dict[str, Any], executor: Executor | None = None
    ) -> Happened[Any] | NotHappened:
        """Find out. A synchronous function runs in a thread of ``executor``.

        Raises:
            BadOutput: it returned something else than ``Happened`` or ``NotHappened``.
            Exception: whatever the function raises: then it is still not known.
        """
        leading = (tc,) if self._takes_context else ()
        call = partial(self._fn, *leading, *positional, **keywords)
        if inspect.iscoroutinefunction(self._fn):
            found = await call()
        else:
            found = await in_thread(call, self._what, executor)
        if isinstance(found, Happened | NotHappened):
            return found
        raise BadOutput(target=self._what, reason=f"it returned {found!r}, not Happened(result) or NotHappened()")
