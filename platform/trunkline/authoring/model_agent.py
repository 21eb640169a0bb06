"""Model-driven agents: the same thing as any other agent, with the model loop for a handler."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trunkline.authoring.agent import Agent
from trunkline.authoring.answers import AnswerType
from trunkline.authoring.handlers import Body, Handler
from trunkline.authoring.model_loop import ModelLoop
from trunkline.authoring.schema import Shape
from trunkline.authoring.toolbox import Toolbox
from trunkline.domain.errors import BadDeclaration
from trunkline.domain.specs import ModelSettings, RestartPolicy
from trunkline.domain.status import OnBusy

if TYPE_CHECKING:
    from trunkline.authoring.app import App


def model_agent(
    app: App,
    name: str,
    settings: ModelSettings,
    *,
    tools: Sequence[Any],
    output: Any,
    on_busy: OnBusy,
    timeout: float | None,
    restart: str | RestartPolicy,
    description: str,
) -> Agent[Any, Any]:
    """An agent that takes text, and returns what its model answers. A run may take ``timeout`` seconds.

    Raises:
        BadDeclaration: model, tools or output type are not usable.
    """
    target = f"agent {name!r}"
    if not settings.model.strip():
        fix = 'Write provider and name, such as model="openai/gpt-5-mini"'
        raise BadDeclaration(what=target, reason="model= is empty", fix=fix)
    toolbox, answer = Toolbox(name, tools), AnswerType(output, target=target)
    settings = settings.model_copy(update={"tools": tuple(toolbox.schemas), "answer": answer.format})

    def body(kept: ModelSettings) -> Body:
        told = toolbox if kept.tools is None else toolbox.as_told(kept.tools, app.tools, app.agents)
        return ModelLoop(name, kept, told, answer).run

    return Agent(
        name,
        app=app,
        main=Handler(fn=body(settings), input=Shape(str, target=target), output=answer.shape),
        on_busy=on_busy,
        timeout=timeout,
        restart=restart,
        description=description or inspect.cleandoc(settings.instructions).partition("\n")[0],
        tools=toolbox.names,
        model=settings,
        body=body,
    )
