"""Letters that more than one sender writes. Their message ids are what makes a second one the same as the first."""

from __future__ import annotations

from typing import Any

from trunkline.domain.ids import child_run_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Outcome


def reply(outcome: Outcome, key: str) -> Envelope:
    """The outcome of a step, to the instance with this key: one for each attempt, and for each asking of its probe."""
    probe = f":probe:{outcome.execution}" if outcome.probe else ""
    return Envelope(
        tenant=outcome.tenant,
        agent=outcome.agent,
        key=key,
        message_id=f"reply:{outcome.step}:{outcome.attempt}:{outcome.run}{probe}",
        kind=EnvelopeKind.REPLY,
        run=outcome.run,
        body=outcome.model_dump(mode="json"),
    )


def answer(
    parent: dict[str, Any], worker: str, *, value: Any = None, error: dict[str, Any] | None = None, unsafe: str = ""
) -> Envelope:
    """What a run that asked is told. ``parent`` is what its request said of it; ``error`` is set if it has failed.

    ``unsafe`` is the step of the asked run whose effect may not repeat, if it began one.
    """
    address = {name: parent[name] for name in ("tenant", "agent", "instance", "run", "step")}
    outcome = Outcome(**address, attempt=1, worker=worker, value=value, error=error, unsafe=unsafe)
    return reply(outcome, parent["key"])


def cancel_asked(run: str, step: str, *, tenant: str, agent: str, key: str, reason: str) -> Envelope:
    """To the instance (``agent``, ``key``): nobody waits any more for what ``step`` of ``run`` asked of it."""
    return Envelope(
        tenant=tenant,
        agent=agent,
        key=key,
        message_id=f"cancel:{run}:{step}",
        kind=EnvelopeKind.CANCEL,
        run=child_run_id(run, step),
        body={"reason": reason},
    )
