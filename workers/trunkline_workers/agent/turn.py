"""A turn: one delivery, what the handler did in answer, and all that must become true with it in one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.domain.journal import Entry, StepFailed
from trunkline.domain.mail import Envelope
from trunkline.observe import logs
from trunkline.store.append import Append, ApprovalAsked, BondMade, DeadLetter, RunChange, SnapshotMade, TimerSet
from trunkline.store.leases import Lease

log = logs.get("activation")


class Unfinished(Exception):
    """A turn is recorded, and something of what was to follow it was not done: its instance is loaded anew."""


@dataclass(slots=True)
class Turn:
    """Built without awaiting, submitted as one ``Append``; ``after`` runs when (and only when) it is committed."""

    progress: bool = True
    entries: list[Entry] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    mail: list[Envelope] = field(default_factory=list)
    runs: dict[str, RunChange] = field(default_factory=dict)
    timers: list[TimerSet] = field(default_factory=list)
    timers_done: list[tuple[str, str]] = field(default_factory=list)
    approvals: list[ApprovalAsked] = field(default_factory=list)
    approvals_done: list[str] = field(default_factory=list)
    bonds: list[BondMade] = field(default_factory=list)
    bonds_done: list[tuple[str, str]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    snapshot: SnapshotMade | None = None
    immediate: list[StepFailed] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.entries or self.taken or self.runs or self.timers)

    def follow_up(self) -> Unfinished | None:
        """The turn is committed: do what comes after. What fails is logged, and does not hold up what stands behind it.

        Returns:
            The last fault, if there was one.
        """
        fault: Unfinished | None = None
        for act in self.after:
            try:
                act()
            except Exception as error:
                log.exception("what follows a turn failed; the activation is dropped")
                fault = Unfinished(str(error) or type(error).__name__)
        return fault

    def append(self, lease: Lease, owner: str, expected: int) -> Append:
        """The turn as the store takes it; ``expected`` is the head before its first entry."""
        return Append(
            instance=lease.instance,
            tenant=lease.tenant,
            agent=lease.agent,
            owner=owner,
            epoch=lease.epoch,
            expected=expected,
            entries=self.entries,
            taken=self.taken,
            mail=self.mail,
            runs=list(self.runs.values()),
            timers=self.timers,
            timers_done=self.timers_done,
            approvals=self.approvals,
            approvals_done=self.approvals_done,
            bonds=self.bonds,
            bonds_done=self.bonds_done,
            dead=self.dead,
            snapshot=self.snapshot,
            progress=self.progress,
        )
