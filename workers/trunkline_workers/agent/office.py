"""What every activation of this worker shares: the appender, the clock, the dispatcher, and the counters."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from trunkline.domain.events import CloudEvent
from trunkline.domain.mail import Envelope
from trunkline.domain.status import RunStatus
from trunkline.observe import metrics
from trunkline.settings import Settings
from trunkline.store.append import Appender
from trunkline_workers.agent.bonds import Bonds
from trunkline_workers.agent.colleagues import Colleagues
from trunkline_workers.agent.conflicts import Conflicts
from trunkline_workers.agent.definitions import Definitions
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.local_steps import LocalSteps
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.membership import Membership
from trunkline_workers.router.routes import Routes

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


class Clock:
    """Postgres's clock as this process knows it: the last reading, and the monotonic time since then.

    What somebody does to this machine's clock changes nothing.

    ``ahead`` is by how many seconds handlers are told another time than that; only tests set it.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self._offset = 0.0

    def set(self, postgres_now: float) -> None:
        """Take over a reading that was just made."""
        self._offset = postgres_now - time.monotonic()

    def real(self) -> float:
        """Seconds since the epoch: what bounds work that is under way."""
        return time.monotonic() + self._offset

    def now(self) -> float:
        """What handlers are told, in seconds since the epoch."""
        return time.monotonic() + self._offset + self.ahead

    def told(self, real: float) -> float:
        """What handlers are told of a time of Postgres's."""
        return real + self.ahead

    @staticmethod
    def at(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)


class Office:
    """One a worker, handed to every activation."""

    def __init__(
        self,
        settings: Settings,
        membership: Membership,
        *,
        appender: Appender,
        dispatch: Dispatch,
        conflicts: Conflicts,
        bonds: Bonds,
        routes: Routes,
        pauses: Pauses,
        definitions: Definitions,
        colleagues: Colleagues,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.appender = appender
        self.dispatch = dispatch
        self.conflicts = conflicts
        self.bonds = bonds
        self.definitions = definitions
        self.colleagues = colleagues
        self.clock = clock
        self.pauses = pauses
        self.local_steps = LocalSteps()
        self.worker: str = membership.worker_id
        self._membership = membership
        self._ended: defaultdict[tuple[str, str], int] = defaultdict(int)  # steps, by kind and outcome
        self._routes = routes
        self.unread: Callable[[Activation], None] = _nobody_reads  # set by whoever reads mail in fair turns
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time

    def route(self, tenant: str, event: CloudEvent) -> list[Envelope]:
        """The mailbox rows of the agents that subscribe to ``event``; what is wrong with it the router tells."""
        return self._routes.route(tenant, event)

    # --- later ------------------------------------------------------------------------------------------------------

    def later(self, delay: float, act: Callable[[], None]) -> None:
        self._loop.call_later(delay, act)

    def soon(self, act: Callable[[], None]) -> None:
        self._loop.call_soon(act)

    # --- counters ---------------------------------------------------------------------------------------------------

    def progressed(self, entries: int) -> None:
        self._membership.progress += entries

    @staticmethod
    def run_began() -> None:
        _started.inc()

    @staticmethod
    def run_ended(status: RunStatus, seconds: float) -> None:
        count, time_ = _ends(status)
        count.inc()
        time_.observe(max(seconds, 0.0))

    def step_ended(self, kind: str, outcome: str) -> None:
        """Counted here, and told with what is held: a metric's own lock costs more than counting."""
        self._ended[kind, outcome] += 1

    def step_took(self, kind: str, began: float) -> None:
        """``began`` is the loop's time."""
        _took(kind).observe(self._loop.time() - began)

    @staticmethod
    def redispatched(reason: str) -> None:
        metrics.redispatches.labels(reason=reason).inc()

    def held(self, instances: int) -> None:
        """Tell how many instances are here, and what has ended since this was last called: it is, every moment."""
        for (kind, outcome), count in self._ended.items():
            metrics.steps.labels(kind=kind, outcome=outcome).inc(count)
        self._ended.clear()
        self._membership.held = instances
        metrics.activations.set(instances)
        metrics.leases_held.set(instances)


def _nobody_reads(_: Activation) -> None:
    """Until somebody does."""


_started = metrics.runs.labels(status="started")


@cache
def _ends(status: RunStatus) -> tuple[Any, Any]:
    """Finding a metric by its labels costs more than counting."""
    return metrics.runs.labels(status=status), metrics.run_seconds.labels(status=status)


@cache
def _took(kind: str) -> Any:
    return metrics.step_seconds.labels(kind=kind)
