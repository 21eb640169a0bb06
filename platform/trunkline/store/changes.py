"""What an owner asks to have written in one commit: journal entries, and all that becomes true with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.journal import Entry
from trunkline.domain.mail import Envelope
from trunkline.domain.status import BondKind, RunStatus


@dataclass(slots=True)
class RunChange:
    """The new status of a run. ``None`` (0, ``""`` for definition and code) leaves a column as it is.

    ``parked_…`` and ``next_actions`` are always written: a change that does not name them clears them. ``cost_usd`` is
    the run's whole cost so far, and is written together with ``usage``; ``deadline``
    is in seconds since the epoch.
    """

    run: str
    status: RunStatus
    output: Any = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    cost_usd: float = 0.0
    parked_reason: str = ""
    parked_detail: str = ""
    next_actions: Sequence[str] = ()
    started: bool = False
    ended: bool = False
    definition: int = 0
    code: str = ""
    deadline: float | None = None
    restarted: bool = False


@dataclass(slots=True)
class TimerSet:
    """A timer that is due ``delay`` seconds after the commit's time, by Postgres's clock. Setting it again moves it."""

    run: str
    step: str
    delay: float


@dataclass(slots=True)
class ApprovalAsked:
    """A run waits for a decision about ``subject``, at most ``timeout`` seconds. ``digest`` is the subject's."""

    id: str
    key: str
    run: str
    step: str
    name: str
    subject: Any
    digest: str
    timeout: float | None = None


@dataclass(slots=True)
class BondMade:
    """When ``run`` ends, ``watcher`` (a run of the instance of ``agent`` and ``key``) is told, as ``kind`` says."""

    run: str
    kind: BondKind
    watcher: str
    agent: str
    key: str
    step: str = ""  # the monitor's


@dataclass(slots=True)
class DeadLetter:
    """Something that cannot be handled. ``body`` is JSON; make text of what is not (``dead_letters.readable``)."""

    tenant: str
    source: str
    reason: str
    detail: str = ""
    subject: str = ""
    body: Any = None
    attempts: int = 0


@dataclass(slots=True)
class SnapshotMade:
    """What the journal comes to at ``version``, which is one of the append's own: ``body`` is JSON text."""

    version: int
    body: bytes


@dataclass(slots=True)
class Append:
    """One owner's entries for one instance, at the head that it expects.

    ``taken`` are mailbox seqs that are settled with it; ``mail`` is posted (and its runs accepted), ``timers`` are set
    and then ``timers_done`` removed, and likewise ``approvals`` and (by id) ``approvals_done``, and ``bonds`` and (by
    watcher and step) the monitors in ``bonds_done``. ``snapshot`` takes the place of an older one. ``progress`` is
    false for what a takeover does before it gets anywhere.
    """

    instance: str
    tenant: str
    agent: str
    owner: str
    epoch: int
    expected: int
    entries: Sequence[Entry]
    taken: Sequence[int] = ()
    mail: Sequence[Envelope] = ()
    runs: Sequence[RunChange] = ()
    timers: Sequence[TimerSet] = ()
    timers_done: Sequence[tuple[str, str]] = ()
    approvals: Sequence[ApprovalAsked] = ()
    approvals_done: Sequence[str] = ()
    bonds: Sequence[BondMade] = ()
    bonds_done: Sequence[tuple[str, str]] = ()
    dead: Sequence[DeadLetter] = ()
    snapshot: SnapshotMade | None = None
    progress: bool = True
