"""What a dropped activation leaves to the next one of its instance in this worker, and nobody else could tell."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.domain.codec import printable
from trunkline_workers.agent.turn import Unfinished

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

MOST_REASON = 1000  # characters

Places = AbstractSet[tuple[str, str]]  # steps, by run and key


@dataclass(frozen=True, slots=True)
class Legacy:
    """``reason`` is why a turn could not be recorded, if one could not, and ``letters`` the mail behind it. ``unsent``
    are steps that nobody was given: that is true of the very next lease after the one of ``epoch``.
    """

    reason: str = ""
    letters: frozenset[int] = frozenset()
    unsent: Places = frozenset()
    epoch: int = 0

    def __bool__(self) -> bool:
        """Whether it is worth keeping."""
        return bool(self.reason or self.letters or self.unsent)

    def hand_to(self, activation: Activation) -> None:
        """Have ``activation`` go by it."""
        if self.letters:
            activation.refused = dict.fromkeys(self.letters, self.reason)
        if activation.lease.epoch == self.epoch + 1:
            activation.unsent = self.unsent


def of(activation: Activation, error: BaseException | None, letters: Iterable[int], *, loaded: bool) -> Legacy:
    """What ``activation`` leaves, which is to be closed. ``error`` is why a turn could not be recorded; it is ``None``,
    or ``Unfinished``, when nothing is wrong with what the journal has. One that is not ``loaded`` yet leaves the steps
    that it was told of.
    """
    steps, epoch = _unsent(activation) if loaded else activation.unsent, activation.lease.epoch
    if error is None or isinstance(error, Unfinished):
        return Legacy(unsent=steps, epoch=epoch)
    return Legacy(printable(str(error), MOST_REASON), frozenset(letters), steps, epoch)


def _unsent(activation: Activation) -> Places:
    """The open steps whose latest attempt nobody was given, because its commit is still under way, or its delay. Of a
    parked run they are those of which that was known before.
    """
    found = {place for place in activation.unsent if (live := activation.runs.get(place[0])) and live.parked}
    for live in activation.runs.values():
        if live.driver is not None and live.calls and not live.parked:
            found |= {
                (live.run, key)
                for key, step in live.driver.open_steps.items()
                if key in live.remote.versions and step.started is None and key not in live.remote.overdue
            }
    return found


NOTHING = Legacy()
