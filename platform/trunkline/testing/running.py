"""``testing.run``: one handler, in milliseconds, on the engine that runs it in production, and without any server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from trunkline.authoring.agent import Agent, InstanceView
from trunkline.authoring.app import App
from trunkline.domain import codec
from trunkline.domain.errors import BadDeclaration
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import check_key, derived_id
from trunkline.domain.journal import RunStarted
from trunkline.testing.fakes import Toolkit
from trunkline.testing.local_exchange import LocalExchange
from trunkline.testing.local_run import LocalRun
from trunkline.testing.local_work import LocalWorker
from trunkline.testing.outcome import RunOutcome
from trunkline.testing.script import ModelScript, ScriptedModel

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


async def run(
    agent: Agent[I, O],
    input: I | CloudEvent,  # noqa: A002
    *,
    tools: Mapping[str, Any] | None = None,
    model: ModelScript | None = None,
    signals: Sequence[tuple[str, Any]] = (),
    approvals: Mapping[str, bool | Mapping[str, Any]] | None = None,
    key: str = "test",
    state: Any = None,
    conversation: Sequence[dict[str, Any]] = (),
    handler: str = "",
    apps: Iterable[App] = (),
    seed: str = "test",
    at: float = START,
    crashes: bool = False,
) -> RunOutcome[O]:
    """Run ``agent``'s handler on ``input`` to its end; agents that it asks run too.

    * ``tools``: fakes by name: a function of the tool's arguments, an exception, or a value. Without one, the real
      function runs.
    * ``model``: what the model answers: a list, one reply a call (text, a model instance, ``ToolCall`` or several of
      these), or a function of the messages.
    * ``signals``: ``(name, data)``, each given to the first wait for that name; ``approvals``: by name, ``True``,
      ``False``, or the whole answer. Sleeps and timeouts take no time: the clock jumps when nothing else is left.
    * ``key``, ``state`` and ``conversation`` are the instance's; ``handler`` is the event type of an ``@agent.on``.
      An ``input`` that is a ``CloudEvent`` wakes the agent as an event would.
    * ``apps``: further apps whose tools and agents are used; ``seed`` and ``at`` (seconds since the epoch): what
      ``ctx.random()`` and ``ctx.now()`` begin with.
    * ``crashes``: before everything that the handler is told, its memory is thrown away and rebuilt from the journal,
      as after the death of its worker. What is recorded is not carried out again.

    Raises:
        BadInput, NotJson: the input does not fit the agent.
        UnknownFake: ``tools`` names what is no tool.
        ScriptExhausted, Stuck, Endless: the script, signals or approvals are not enough for the run to end.
        NeedsExchange: the handler spawns or monitors runs, or is a team.
        Diverged: with ``crashes``, the handler did something else than it did before; the error says what.
    """
    every = [agent.app, *(app for app in apps if app is not agent.app)]
    instance = InstanceView(
        "default", agent.name, check_key(key), None if state is None else agent.state.record(state), list(conversation)
    )
    exchange = LocalExchange(
        {name: one for app in every for name, one in app.agents.items()},
        LocalWorker(Toolkit(every, tools or {}), ScriptedModel(model)),
        signals=[(name, codec.roundtrip(data, what=f"the signal {name!r}")) for name, data in signals],
        approvals={name: _decision(answer) for name, answer in (approvals or {}).items()},
        instances={(agent.name, key): instance},
        at=at,
    )
    local = LocalRun(agent, key, _started(agent, input, handler, seed, at), forgetful=crashes)
    await exchange.until_ended(local)
    return local.outcome


def _started(agent: Agent[Any, Any], given: Any, handler: str, seed: str, at: float) -> RunStarted:
    run_id = derived_id("testing", agent.name, seed)
    event = given if isinstance(given, CloudEvent) else None
    if handler:
        if handler not in agent.handlers:
            known = ", ".join(agent.handlers) or "none"
            fix = f"Its handlers are: {known}"
            raise BadDeclaration(what="testing.run", reason=f"{agent.name} handles no event {handler!r}", fix=fix)
        data = agent.handlers[handler].input.encode(given) if event is None else None
        event = event or CloudEvent(id=run_id, source="test", type=handler, data=data)
    deadline = None if agent.spec.timeout is None else at + agent.spec.timeout
    begin = partial(RunStarted, run_id, at=at, seed=seed, deadline=deadline)
    if event is None:
        return begin(input=agent.input.encode(given), message_id=f"req:{run_id}")
    return begin(input=event.to_body(), message_id=f"event:{run_id}:{handler}", handler=handler)


def _decision(answer: bool | Mapping[str, Any]) -> dict[str, Any]:
    return {"approved": answer, "by": "test", "comment": None} if isinstance(answer, bool) else dict(answer)
