"""What a model may use: tools, and agents as if they were tools. Nothing that a model writes can raise from here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.calls import agent_step, approved, tool_step
from trunkline.authoring.context import Context
from trunkline.authoring.schema import as_object
from trunkline.authoring.tool import Tool
from trunkline.domain import codec
from trunkline.domain.errors import BadDeclaration, BadInput, BadJson, BadOutput, NotJson, StepError, TrunklineError

Usable = Tool[..., Any] | AgentRef[Any, Any]

INPUT = "input"


class ToolCall(BaseModel):
    """What a model asked for; ``arguments`` is JSON text as the model wrote it."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class Toolbox:
    """The tools of one model-driven agent, by name."""

    def __init__(self, agent: str, tools: Sequence[Any]) -> None:
        """Raises ``BadDeclaration`` for what is neither tool nor agent, and for a name that is there twice."""
        self._agent = agent
        self._tools: dict[str, Usable] = {}
        for tool in tools:
            _check(agent, tool)
            if tool.name in self._tools:
                fix = "Give one of them another name="
                raise BadDeclaration(what=f"agent {agent!r}", reason=f"it has two tools {tool.name!r}", fix=fix)
            self._tools[tool.name] = tool
        self.names = tuple(self._tools)
        self.schemas = [_schema(tool) for tool in self._tools.values()]  # in OpenAI's format

    def as_told(self, schemas: Sequence[dict[str, Any]], *elsewhere: Mapping[str, Usable]) -> Toolbox:
        """The tools that an earlier definition told the model of, in its words; what carries them out is today's code.

        Those that the agent does not use any more are looked for ``elsewhere``; one that is gone is refused when it is
        called, in words for the model.
        """
        told = Toolbox(self._agent, ())
        told.schemas = list(schemas)
        places = (self._tools, *elsewhere)
        for name in (str(schema["function"]["name"]) for schema in schemas):
            found = next((place[name] for place in places if name in place), None)
            told.names = (*told.names, name)
            if found is not None:
                told._tools[name] = found
        return told

    async def use(self, ctx: Context[Any], call: ToolCall) -> str:
        """Carry out one call, and return what the model is told: the result, or what went wrong."""
        try:
            return _text(await self._run(ctx, call))
        except StepError as error:
            return _refusal(error.type, error.message)
        except (BadInput, BadOutput, BadJson, NotJson, _NoSuchTool) as error:
            return _refusal(type(error).__name__.lstrip("_"), str(error))

    async def _run(self, ctx: Context[Any], call: ToolCall) -> Any:
        tool = self._tools.get(call.name)
        if tool is None:
            raise _NoSuchTool(name=call.name[:100], known=", ".join(self._tools) or "none")
        arguments = codec.loads(call.arguments or "{}", what="the arguments")
        if isinstance(tool, AgentRef):
            return await _ask(ctx, tool, arguments)
        checked = tool.normal(arguments)
        if tool.spec.needs_approval:
            return tool.encode(await approved(ctx, tool, checked))
        return tool.encode(await tool_step(ctx, tool, checked))


class _NoSuchTool(TrunklineError):
    """There is no tool {name!r}. The tools are: {known}."""


async def _ask(ctx: Context[Any], agent: AgentRef[Any, Any], arguments: Any) -> Any:
    _, wrapped = as_object(agent.input.schema(), INPUT)
    if wrapped and isinstance(arguments, dict) and set(arguments) == {INPUT}:
        arguments = arguments[INPUT]
    value = agent.input.decode(arguments)
    return agent.output.encode(await agent_step(ctx, agent, value, None))


def _check(agent: str, tool: Any) -> None:
    if isinstance(tool, Tool | AgentRef):
        return
    fix = "Pass what @app.tool, @app.agent or app.llm_agent returned"
    if inspect.isroutine(tool):
        fix = f"Declare it: write @app.tool above def {tool.__name__}(…)"
    raise BadDeclaration(what=f"agent {agent!r}", reason=f"{tool!r} in tools= is not a tool", fix=fix)


def _schema(tool: Usable) -> dict[str, Any]:
    if isinstance(tool, AgentRef):
        description = tool.description or f"Ask the agent {tool.name}."
        parameters, _ = as_object(tool.input.schema(), INPUT)
    else:
        description, parameters = tool.spec.description, tool.spec.input_schema
    return {"type": "function", "function": {"name": tool.name, "description": description, "parameters": parameters}}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else codec.dumps(value, what="the result").decode()


def _refusal(type_: str, message: str) -> str:
    return codec.dumps({"error": {"type": type_, "message": message}}).decode()
