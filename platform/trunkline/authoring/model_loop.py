"""The body of a model-driven agent: ask the model, carry out the tools that it calls, until it gives its answer.

It is a handler like any other, on the same ``Context``. Each model call journals only what was added to the
conversation since the one before, and the digest of the whole prompt; the whole prompt goes along as the step's
payload, rebuilt on replay from the same facts.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from trunkline.authoring.answers import AnswerType, Unacceptable
from trunkline.authoring.context import Context
from trunkline.authoring.prompt import Message, Prompt
from trunkline.authoring.schema import Shape
from trunkline.authoring.toolbox import Toolbox, ToolCall
from trunkline.domain import codec
from trunkline.domain.errors import BadOutput, NoAnswer, TurnsExhausted
from trunkline.domain.specs import ModelSettings
from trunkline.domain.status import StepKind

MAX_CALLS = 32  # tools that a model may call at once
TOO_MANY = f"Not carried out: at most {MAX_CALLS} calls at once. Call it again."


class ModelReply(BaseModel):
    """What an LLM worker returns of a call."""

    text: str | None = None
    tool_calls: list[ToolCall] = Field(default_factory=list)
    finish_reason: str | None = None


_REPLY: Shape[ModelReply] = Shape(ModelReply, target="the reply of an LLM worker", misfit=BadOutput)


class ModelLoop:
    """``run`` is the handler."""

    def __init__(self, agent: str, settings: ModelSettings, toolbox: Toolbox, answer: AnswerType) -> None:
        self._agent = agent
        self._settings = settings
        self._toolbox = toolbox
        self._answer = answer

    async def run(self, ctx: Context[Any], question: str) -> Any:
        """One run: ``question`` joins the conversation, and the model's answer is the result.

        Raises:
            TurnsExhausted: the model has made its calls and still wants tools.
            NoAnswer: its answers did not fit the output type, nor after the re-asks.
            ModelFailed: a call failed, and no attempt is left.
        """
        added: list[Message] = [{"role": "user", "content": question}]
        prompt = self._prompt(ctx)
        refused = 0
        for _ in range(self._settings.max_turns):
            reply = await self._ask_model(ctx, prompt, added)
            calls = _identified(reply.tool_calls)
            said = _assistant(reply, calls)
            if calls:
                added = [said, *await self._use_tools(ctx, calls)]
                continue
            try:
                answer = self._answer.read(reply.text or "")
            except Unacceptable as error:
                refused += 1
                if refused > self._settings.max_repairs:
                    raise NoAnswer(agent=self._agent, attempts=refused, reason=str(error)) from None
                added = [said, _correction(str(error))]
            else:
                ctx.say(said)
                return answer
        raise TurnsExhausted(agent=self._agent, turns=self._settings.max_turns)

    def _prompt(self, ctx: Context[Any]) -> Prompt:
        """What every call of this run begins with: the instructions, and what was said in earlier runs."""
        settings = self._settings
        answer = self._answer.format if settings.tools is None else settings.answer
        prompt = Prompt({"model": settings.model, "tools": self._toolbox.schemas, "response_format": answer})
        prompt.add([*self._instructions(), *ctx.conversation])
        return prompt

    async def _ask_model(self, ctx: Context[Any], prompt: Prompt, added: list[Message]) -> ModelReply:
        ctx.say(*added)
        prompt.add(codec.roundtrip(message, what="a message") for message in added)
        settings, body = self._settings, prompt.body()
        sampling, answer = _sampling(settings), body["response_format"]
        args = {
            "model": settings.model,
            "added": added,
            "prompt_digest": prompt.digest(),
            "settings": sampling,
            "tools": list(self._toolbox.names),
            "output": answer and answer["name"],
        }
        options = {"pool": settings.pool, "timeout": settings.timeout, "retry": settings.retry.model_dump()}
        payload = {**body, "settings": sampling}
        return await ctx.schedule(
            StepKind.LLM, settings.model, args, options=options, decode=_REPLY.decode, payload=payload
        )

    async def _use_tools(self, ctx: Context[Any], calls: list[ToolCall]) -> list[Message]:
        """Carry out the calls in parallel; the results are in the order of the calls."""
        results = await ctx.gather(*(self._toolbox.use(ctx, call) for call in calls[:MAX_CALLS]))
        beyond = [TOO_MANY] * len(calls[MAX_CALLS:])
        return [
            {"role": "tool", "tool_call_id": call.id, "content": text}
            for call, text in zip(calls, [*results, *beyond], strict=True)
        ]

    def _instructions(self) -> list[Message]:
        text = self._settings.instructions
        return [{"role": "system", "content": text}] if text else []


def _sampling(settings: ModelSettings) -> dict[str, Any]:
    named = {"temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens}
    return {name: value for name, value in named.items() if value is not None} | settings.extra


def _identified(calls: list[ToolCall]) -> list[ToolCall]:
    """The calls with an id each; some models leave it out, or give one twice."""
    seen: set[str] = set()
    identified = []
    for number, call in enumerate(calls, 1):
        id_ = call.id if call.id and call.id not in seen else f"call_{number}"
        seen.add(id_)
        identified.append(call.model_copy(update={"id": id_}))
    return identified


def _assistant(reply: ModelReply, calls: list[ToolCall]) -> Message:
    message: Message = {"role": "assistant", "content": reply.text}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return message


def _correction(reason: str) -> Message:
    return {"role": "user", "content": f"{reason} Answer again, with nothing but the corrected answer."}
