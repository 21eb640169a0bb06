"""How a run begins: the entry and the row that say so, and what its driver drives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.authoring.agent import InstanceView
from trunkline.domain.deadlines import nearest
from trunkline.domain.journal import RunStarted
from trunkline.domain.mail import Mail
from trunkline.domain.status import RunStatus
from trunkline.engine.replay import RunDriver
from trunkline.store.append import RunChange

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def entry_of(activation: Activation, letter: Mail) -> RunStarted:
    """The entry of the run that a request or an event asks for."""
    office, agent, body = activation.office, activation.agent, letter.body
    now = max(office.clock.now(), body.get("due", 0.0))  # this worker's idea of the time may be behind
    timeout = agent.spec.timeout
    return RunStarted(
        run=letter.run,
        input=body.get("input"),
        at=now,
        seed=letter.run,  # the same whoever starts it, and random, because run ids are
        message_id=letter.message_id,
        handler=body.get("handler") or "",
        definition=office.definitions.current(agent.name),
        code=agent.code,
        parent=body.get("parent"),
        restart=body.get("restart") is not False,
        deadline=nearest(body.get("deadline"), None if timeout is None else now + timeout),
    )


def row_of(entry: RunStarted) -> RunChange:
    """What the run's row says from now on."""
    return RunChange(
        run=entry.run,
        status=RunStatus.RUNNING,
        started=True,
        definition=entry.definition,
        code=entry.code,
        deadline=entry.deadline,
    )


def body_of(activation: Activation, entry: RunStarted) -> Callable[[RunDriver], Any]:
    """What a driver drives: the agent's code on the instance as it is now."""
    return body_on(activation, entry, activation.state, activation.conversation)


def body_on(
    activation: Activation, entry: RunStarted, state: Any, conversation: Sequence[dict[str, Any]]
) -> Callable[[RunDriver], Any]:
    """The same on the instance as it was; with the definition as of the run's start."""
    lease = activation.lease
    view = InstanceView(lease.tenant, lease.agent, lease.key, state, conversation)
    model = activation.office.definitions.model(lease.agent, entry.definition)
    return partial(activation.agent.coroutine, view=view, model=model)
