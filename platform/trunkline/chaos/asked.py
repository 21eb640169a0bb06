"""From what was asked for to what can be done with this App; what cannot is said before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from trunkline.authoring.agent import Agent
from trunkline.authoring.app import App
from trunkline.chaos.inputs import NoSample, sample
from trunkline.chaos.plan import WORKERS, Action, Part, Pausable, Strike
from trunkline.domain.errors import BadInput, NotUnderstood


def strikes(app: App, kill: Sequence[Part], pause: Sequence[Pausable], *, wipe: bool) -> list[Strike]:
    """What is to be done; where nothing was asked for, a kill of each kind of worker that ``app`` needs.

    Raises:
        NotUnderstood: the App has no work for such a worker.
    """
    there = {Part.AGENTS} | ({Part.TOOLS} if app.tools else set())
    there |= {Part.LLM} if any(agent.spec.kind == "llm" for agent in app.agents.values()) else set()
    asked = [Strike(Action.KILL, part) for part in kill]
    asked += [Strike(Action.PAUSE, Part(part)) for part in pause]
    asked += [Strike(Action.WIPE, Part.NATS)] if wipe else []
    for strike in asked:
        if strike.part in WORKERS - there:
            raise NotUnderstood(what=f"--{strike.action} {strike.part}", reason="the App has no work for such a worker")
    return asked or [Strike(Action.KILL, part) for part in Part if part in there]


def agent(app: App, name: str) -> str:
    """The agent of that ``name``; without one, the only one that there is.

    Raises:
        NotUnderstood: there is none, or there are several.
    """
    if name in app.agents or (not name and len(app.agents) == 1):
        return name or next(iter(app.agents))
    known = ", ".join(sorted(app.agents)) or "none"
    raise NotUnderstood(what=f"The agent {name!r}" if name else "AGENT", reason=f"the App's agents are: {known}")


def subscriber(app: App, event_type: str) -> str:
    """The first agent that an event of this type starts.

    Raises:
        NotUnderstood: there is none.
    """
    for one in app.agents.values():
        if any(each.event_type == event_type and not each.handler for each in one.spec.subscriptions):
            return one.name
    raise NotUnderstood(what=f"--event {event_type}", reason="no agent of the App is started by it")


def check_signals(app: App, names: Collection[str]) -> None:
    """Whether ``app`` declares them all.

    Raises:
        NotUnderstood: it does not.
    """
    for name in names:
        if name not in app.signals:
            known = ", ".join(sorted(app.signals)) or "none"
            raise NotUnderstood(what=f"--signal {name}", reason=f"the App's signals are: {known}")


def values(to: Agent[Any, Any], text: str, what: str, parse: Callable[[str], Any]) -> Callable[[int], Any]:
    """The input of each run by its number: ``text`` as ``parse`` reads it, with the number for ``{n}``; or a sample.

    Raises:
        NotUnderstood: none can be made up.
        BadInput, BadJson: the first does not fit.
    """

    def value(number: int) -> Any:
        return parse(text.replace("{n}", str(number))) if text else sample(to.spec.input_schema, number)

    try:
        to.input.decode(value(1))
    except (NoSample, BadInput) as error:
        if text:
            raise
        raise NotUnderstood(what=what, reason=f"it is needed, none can be made up for {to.name!r} ({error})") from None
    return value
