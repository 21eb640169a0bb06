"""The bound on what one gateway takes in at once: whoever comes beyond it is told so at once, and when to come again.

Inside is a request that asks for something to be accepted, from its first byte until that is committed; not while it
then waits for a run's end, or listens. So what is inside is done in the order in which it came, within about as many
commits as fit it, however much is asked: latency is bounded by this, and so is memory.
"""

from __future__ import annotations

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.domain.errors import Busy, TenantBusy, TrunklineError
from trunkline.gateway import problems
from trunkline.observe import metrics

BYTES = 64 * 1024 * 1024  # of all bodies inside; one body alone may be larger
_TICKET = "trunkline.ticket"
_WAYS_IN = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Door:
    """``most`` requests are inside at once; of one tenant three quarters of them, where there are ``several``."""

    def __init__(self, most: int, *, several: bool) -> None:
        self.inside = self.weight = 0
        self._most, self._share = most, most - most // 4 if several else most
        self._of: Counter[str] = Counter()

    def enter(self) -> Ticket:
        """
        Raises:
            Busy: as many are inside as may be.
        """
        if self.inside >= self._most:
            raise _shed("busy", Busy(inside=self.inside))
        self.inside += 1
        metrics.inside.set(self.inside)
        return Ticket(self)

    def admit(self, tenant: str) -> None:
        """
        Raises:
            TenantBusy: this tenant has its share inside.
        """
        if self._of[tenant] >= self._share:
            raise _shed("tenant", TenantBusy(inside=self._of[tenant]))
        self._of[tenant] += 1

    def weigh(self, size: int, more: int) -> None:
        """``size`` bytes of a body are inside, and ``more`` come.

        Raises:
            Busy: all bodies together are too large.
        """
        if self.weight + more > BYTES and self.weight > size:
            raise _shed("bytes", Busy(inside=self.inside))
        self.weight += more

    def leave(self, ticket: Ticket) -> None:
        self.inside -= 1
        self.weight -= ticket.size
        if ticket.tenant is not None:
            self._of[ticket.tenant] -= 1
            if not self._of[ticket.tenant]:
                del self._of[ticket.tenant]
        metrics.inside.set(self.inside)


class Ticket:
    """One request's place inside. ``leave`` may be called again."""

    __slots__ = ("_door", "_left", "size", "tenant")

    def __init__(self, door: Door) -> None:
        self._door, self._left = door, False
        self.size = 0
        self.tenant: str | None = None

    def belongs(self, tenant: str) -> None:
        """It is this tenant's (raises as ``Door.admit``)."""
        if self.tenant is None and not self._left:
            self._door.admit(tenant)
            self.tenant = tenant

    def weigh(self, more: int) -> None:
        """So many bytes more of its body have come (raises as ``Door.weigh``)."""
        if not self._left:
            self._door.weigh(self.size, more)
            self.size += more

    def leave(self) -> None:
        """What it asked for is committed, or refused."""
        if not self._left:
            self._left = True
            self._door.leave(self)


class Doorkeeper:
    """The ASGI layer that gives out tickets. It stands outside of all routing: sending away has to be cheap."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WAYS_IN:
            await self._app(scope, receive, send)
            return
        try:
            ticket = self._door.enter()
        except Busy as error:
            await problems.answer(error)(scope, receive, send)
            return
        scope[_TICKET] = ticket
        try:
            await self._app(scope, receive, send)
        finally:
            ticket.leave()


def ticket_of(scope: Scope) -> Ticket | None:
    """The request's ticket, if it needs one."""
    ticket: Ticket | None = scope.get(_TICKET)
    return ticket


def _shed(why: str, error: TrunklineError) -> TrunklineError:
    metrics.shed.labels(reason=why).inc()
    return error
