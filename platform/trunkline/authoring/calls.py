"""Steps that others carry out: tools, also with an approval before them, and asked agents."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.tool import Tool
from trunkline.domain.errors import BadDeclaration, TimedOut, ToolFailed
from trunkline.domain.ids import check_key, child_run_id
from trunkline.domain.status import StepKind
from trunkline.engine.step import Step

if TYPE_CHECKING:
    from trunkline.authoring.context import Context

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741

DENIED = "Denied"
EXPIRED = "ApprovalExpired"


def check_tool(tool: Any) -> None:
    """Raises ``BadDeclaration`` for what is not a tool."""
    if isinstance(tool, Tool):
        return
    fix = "Write ctx.call(tool, argument), with a function that was declared with @app.tool"
    if isinstance(tool, AgentRef):
        fix = f"It is an agent: write ctx.ask({tool.name}, input)"
    elif inspect.isroutine(tool):
        fix = f"Declare it with @app.tool, or write ctx.step({tool.__name__}, argument)"
    elif inspect.iscoroutine(tool):
        tool.close()
    raise BadDeclaration(what="ctx.call", reason=f"{tool!r} is not a tool", fix=fix)


def check_agent(agent: Any, what: str = "ctx.ask") -> None:
    """Raises ``BadDeclaration`` for what is not an agent."""
    if isinstance(agent, AgentRef):
        return
    fix = "Pass what @app.agent or app.llm_agent returned"
    if isinstance(agent, Tool):
        fix = f"It is a tool: write ctx.call({agent.name}, argument)"
    raise BadDeclaration(what=what, reason=f"{agent!r} is not an agent", fix=fix)


def tool_step(ctx: Context[Any], tool: Tool[Any, R], arguments: dict[str, Any]) -> Step[R]:
    """The step of a tool with checked arguments; approvals are not asked for here."""
    return ctx.schedule(StepKind.TOOL, tool.name, arguments, options=dict(tool.options), decode=tool.decode)


async def approved(ctx: Context[Any], tool: Tool[Any, R], arguments: dict[str, Any]) -> R:
    """Ask for an approval under the tool's name, then call it.

    Raises:
        ToolFailed: with the type ``Denied`` when it was refused, ``ApprovalExpired`` when nobody decided in time; or
            because the tool failed.
    """
    limit = tool.spec.approval_timeout
    asked = ctx.approve(tool.name, {"tool": tool.name, "arguments": arguments}, timeout=limit)
    try:
        decision = await asked
    except TimedOut:
        raise ToolFailed(key=asked.key, type=EXPIRED, message=f"nobody approved it within {limit:g} s") from None
    if not decision.approved:
        by = f" by {decision.by}" if decision.by else ""
        comment = f": {decision.comment}" if decision.comment else ""
        raise ToolFailed(key=asked.key, type=DENIED, message=f"the approval was refused{by}{comment}")
    return await tool_step(ctx, tool, arguments)


def agent_step(ctx: Context[Any], agent: AgentRef[Any, O], value: Any, key: str | None) -> Step[O]:
    """The step of an asked agent. A private child's key is derived from the step: every replay asks the same."""
    check_agent(agent)
    options: dict[str, Any] = {"agent": agent.name, "key": key, "private": key is None}
    if key is not None:
        check_key(key)
    step = ctx.schedule(
        StepKind.AGENT, agent.name, agent.input.encode(value), options=options, decode=agent.output.decode
    )
    if key is None:
        options["key"] = f"ask-{child_run_id(ctx.run_id, step.key)}"  # the step's own key is known only now
    return step
