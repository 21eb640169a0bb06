"""Tools in ``testing.run``: a fake where the test gives one, else the real function."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from copy import copy
from typing import Any

from trunkline.authoring.app import App
from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain import codec
from trunkline.domain.errors import TrunklineError


class UnknownFake(TrunklineError):
    """tools= has a fake {name!r}, and there is no such tool. Known: {known}."""


class NoSuchTool(TrunklineError):
    """Tool {name!r} of app {app!r} is not known here. Pass a fake, tools={{{name!r}: …}}, or apps=[{app}]."""

    retryable = False


class FakeTool(Tool[Any, Any]):
    """A tool whose place ``toolkit`` takes, for a tool worker to carry out."""

    def __init__(self, tool: Tool[..., Any], toolkit: Toolkit) -> None:
        self.__dict__.update(vars(tool))
        self._toolkit = toolkit

    @property
    def is_async(self) -> bool:
        return True

    async def invoke(self, tc: ToolContext, arguments: Any, executor: Executor | None = None) -> Any:  # noqa: ARG002
        """What the fake gives; raises what it raises."""
        return await self._toolkit.call(self.spec.app, arguments, tc)


class Toolkit:
    """``fakes`` by tool name: a function of the tool's arguments, an exception to raise, or a value to return."""

    def __init__(self, apps: Iterable[App], fakes: Mapping[str, Any]) -> None:
        self._tools = {(app.name, name): tool for app in apps for name, tool in app.tools.items()}
        self._fakes = fakes
        known = {name for _, name in self._tools}
        for name in fakes:
            if name not in known:
                raise UnknownFake(name=name, known=", ".join(sorted(known)) or "none")

    def is_fake(self, name: str) -> bool:
        return name in self._fakes

    def stand_in(self, app: App) -> App:
        """``app`` as its tool workers see it: with the fakes in place of its tools."""
        played = copy(app)
        played.tools = {name: FakeTool(tool, self) if self.is_fake(name) else tool for name, tool in app.tools.items()}
        return played

    async def call(self, app: str, arguments: Any, tc: ToolContext) -> Any:
        """Carry out one call: JSON arguments to a JSON result.

        Raises:
            NoSuchTool: neither a fake nor an app that was passed has it.
            Exception: whatever the tool, or its fake, raises.
        """
        tool = self._tools.get((app, tc.tool))
        if tool is None:
            raise NoSuchTool(name=tc.tool, app=app)
        if tc.tool not in self._fakes:
            return await tool.invoke(tc, arguments)
        return tool.encode(await _played(self._fakes[tc.tool], tool, codec.roundtrip(arguments), tc))


async def _played(fake: Any, tool: Tool[..., Any], arguments: Any, tc: ToolContext) -> Any:
    if isinstance(fake, BaseException) or (isinstance(fake, type) and issubclass(fake, BaseException)):
        raise fake
    if not callable(fake):
        return fake
    leading = (tc,) if _takes_context(fake) else ()
    result = fake(*leading, **tool.validate(arguments))
    return await result if inspect.isawaitable(result) else result


def _takes_context(fake: Any) -> bool:
    try:
        first = next(iter(inspect.signature(fake).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    return first is not None and (first.name == "tc" or first.annotation in (ToolContext, "ToolContext"))
