"""A turn: one delivery, what the handler did in answer, and all that must become true with it in one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trunkline.domain.journal import Entry, StepFailed
from trunkline.domain.mail import Envelope
from trunkline.observe import logs
from trunkline.store.append import Append, ApprovalAsked, BondMade, DeadLetter, RunChange, SnapshotMade, TimerSet
from trunkline.store.leases import Lease

log = logs.get("activation")


class Unfinished(Exception):
    """A turn is recorded, and something of what was to follow it was not done: its instance is loaded anew."""


class Turn:
    """Built without awaiting, submitted as one ``Append``; ``after`` runs when (and only when) it is committed.

    Most turns hold entries and nothing else: ``more`` is made when it is first asked for. ``beginning`` says that what
    waits in the queue is just being begun in it.
    """

    __slots__ = ("_more", "after", "beginning", "entries", "immediate", "progress", "snapshot")

    def __init__(
        self,
        *,
        progress: bool = True,
        entries: list[Entry] | None = None,
        after: list[Callable[[], None]] | None = None,
    ) -> None:
        self.progress = progress
        self.entries: list[Entry] = [] if entries is None else entries
        self.after: list[Callable[[], None]] = [] if after is None else after
        self.immediate: list[StepFailed] = []
        self.snapshot: SnapshotMade | None = None
        self.beginning = False
        self._more: More | None = None

    @property
    def more(self) -> More:
        """What it changes besides the journal."""
        if self._more is None:
            self._more = More()
        return self._more

    @property
    def letters(self) -> Sequence[int]:
        """The mail that it settles."""
        return self._more.taken if self._more is not None else ()

    @property
    def empty(self) -> bool:
        more = self._more
        return not self.entries and (more is None or not (more.taken or more.runs or more.timers))

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
        append = Append(lease.instance, lease.tenant, lease.agent, owner, lease.epoch, expected, self.entries)
        append.progress, append.snapshot = self.progress, self.snapshot
        if self._more is not None:
            self._more.add_to(append)
        return append


@dataclass(slots=True)
class More:
    """What a turn changes besides the journal."""

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

    def add_to(self, append: Append) -> None:
        append.taken, append.mail, append.dead = self.taken, self.mail, self.dead
        append.runs = list(self.runs.values())
        append.timers, append.timers_done = self.timers, self.timers_done
        append.approvals, append.approvals_done = self.approvals, self.approvals_done
        append.bonds, append.bonds_done = self.bonds, self.bonds_done
