"""Mailbox rows: what is committed before anything is acknowledged (promise P1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trunkline.domain.ids import instance_id
from trunkline.domain.status import EnvelopeKind


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to one instance, unique by (tenant, instance, ``message_id``).

    ``run`` is the run it starts (request, event) or belongs to (reply, timer, cancel, signal to a run); empty for a
    signal to the instance. ``body`` by kind:

    * request, event: ``{"input": …, "handler": "" | event type, "parent": null | {…}}``; ``"deadline"`` and, of a
      schedule's occurrence, ``"due"`` (seconds since the epoch) only where there is one
    * signal: ``{"name": …, "data": …}``
    * reply: an outcome's JSON (``work.Outcome``)
    * timer: ``{"step": key, "due": …}``, by Postgres's clock; the run's deadline has the key ``deadline``
    * cancel: ``{"reason": …}``
    * resolve: ``{"outcome": "happened" | "failed" | "again", "step": key | "", "value": …, "reason": …, "by": …}``
    """

    tenant: str
    agent: str
    key: str
    message_id: str
    kind: EnvelopeKind
    body: dict[str, Any]
    run: str = ""
    digest: str = ""  # of what the sender said, to tell a repeat from a conflicting reuse
    parent_run: str = ""
    _instance: str = field(default="", init=False, repr=False, compare=False)  # once derived

    @property
    def instance(self) -> str:
        if not self._instance:
            object.__setattr__(self, "_instance", instance_id(self.tenant, self.agent, self.key))
        return self._instance


@dataclass(frozen=True, slots=True)
class Mail:
    """An envelope as it is read back: with its place in the mailbox."""

    seq: int
    instance: str
    message_id: str
    kind: EnvelopeKind
    run: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an envelope. ``new`` is false when the message was accepted before: ``run`` is the first's."""

    instance: str
    run: str
    new: bool
    conflict: bool = False  # the same message id with another digest
