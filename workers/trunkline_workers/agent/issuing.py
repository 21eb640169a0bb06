"""Tool and model calls of one instance go out a window at a time; its further ones wait here, in memory.

So a run that asks for thousands at once does not put its neighbours' one call behind them. What waits is in the journal
as any open step: after a death it is issued with the others, and a hand-over sends it out first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import watching

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation
    from trunkline_workers.agent.live import Live

Place = tuple[str, str]  # run and step


class Window:
    """At most ``most`` steps are out at once. Whoever looks after a step does so from its issue on."""

    __slots__ = ("_activation", "_most", "_out", "_refilling", "_waiting")

    def __init__(self, activation: Activation, most: int) -> None:
        self._activation, self._most = activation, most
        self._out: set[Place] = set()  # some may have ended: that is looked up when there is no room
        self._waiting: dict[Place, None] = {}
        self._refilling = False

    def issue(self, live: Live, step: OpenStep) -> None:
        """Send the step's attempt out, at once if there is room. That of a parked run waits until it goes on."""
        place = live.run, step.scheduled.key
        if live.parked:
            self._waiting[place] = None
        elif place in self._out or (len(self._out) < self._most and not self._waiting):
            self._send(place, live, step)
        else:
            self._waiting[place] = None
            self.refill_soon()

    def waits(self, run: str, key: str) -> bool:
        """Whether the step has not gone out yet."""
        return (run, key) in self._waiting

    def rests(self, run: str, key: str) -> None:
        """The step's next attempt comes after a while: until then it takes nobody's place."""
        self._out.discard((run, key))

    def refill_soon(self) -> None:
        """Some may have ended: send out as many of those that wait."""
        if self._waiting and not self._refilling:
            self._refilling = True
            self._activation.office.soon(self._refill)

    def flush(self) -> None:
        """The instance goes to another worker, which takes all that is open to be out: send it."""
        self._most += len(self._waiting)
        self._fill(with_parked=True)

    def _refill(self) -> None:
        self._refilling = False
        if not self._activation.closed:
            self._fill()

    def _fill(self, *, with_parked: bool = False) -> None:
        """Steps of a parked run take nobody's place, and do not go out before it goes on or the instance is let go."""
        self._out = {place for place in self._out if self._goes_on(place)}
        parked: dict[Place, None] = {}
        while self._waiting and len(self._out) < self._most:
            place = next(iter(self._waiting))
            del self._waiting[place]
            found = self._open(place)
            if found is not None and found[0].parked and not with_parked:
                parked[place] = None
            elif found is not None:
                self._send(place, *found)
        if parked:
            self._waiting = parked | self._waiting

    def _send(self, place: Place, live: Live, step: OpenStep) -> None:
        self._out.add(place)
        self._activation.office.dispatch.work(self._activation, live, step)
        watching.watch(self._activation, live, step)

    def _goes_on(self, place: Place) -> bool:
        found = self._open(place)
        return found is not None and not found[0].parked

    def _open(self, place: Place) -> tuple[Live, OpenStep] | None:
        live = self._activation.runs.get(place[0])
        step = live.driver.open_steps.get(place[1]) if live is not None and live.driver is not None else None
        return None if live is None or step is None else (live, step)
