"""Branches: coroutines of one handler, driven by hand from one FIFO queue. No event loop, no clock, no I/O.

The handler's own coroutine is the main branch; ``gather``, ``map`` and ``race`` open more. A branch runs until it
awaits a handle that is not done. A handle that gets done tells the groups that hold it before any branch goes on.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from trunkline.domain.errors import NotDurable
from trunkline.engine import kin
from trunkline.engine.branch import Branch
from trunkline.engine.few import Several, joined
from trunkline.engine.ledger import Ledger
from trunkline.engine.step import CANCELLED, Recorded, Step

T = TypeVar("T")

LIMIT = 10_000  # steps, groups and branches between two deliveries
_PATIENCE = 1000  # awaits of a coroutine that is being closed


class Overrun(BaseException):
    """The handler goes on and on without waiting. A BaseException, so that no ``except Exception`` takes it."""


class Closing(BaseException):
    """Thrown into a branch that goes no further. A BaseException, so that it passes what handles errors."""


class Group(Step[T]):
    """A handle that is done when its ``members`` say so; ``gather``, ``map`` and ``race`` are made of it."""

    __slots__ = ("members",)

    loop: Loop

    def __init__(self, loop: Loop, key: str) -> None:
        super().__init__(loop, key)
        self.members: list[Step[Any]] = []

    def member_done(self, member: Step[Any]) -> None:
        """``member`` is done; ``self`` is not."""
        raise NotImplementedError

    def hold(self, members: list[Step[Any]]) -> None:
        """Be told of each member; of those that are done already, now."""
        self.members = members
        for member in members:
            if self.done:
                return
            if member.done:
                self.member_done(member)
            else:
                self.loop.watch(member, self)

    def fail(self, member: Step[Any]) -> None:
        """End with the failure of ``member``."""
        self.error = member
        self.loop.settle(self)
        self.loop.cancel(self.members)


class Loop:
    """The queue of one handler's branches. ``asked`` is what it asked for since the last delivery.

    What is empty while all of them wait is not there.
    """

    __slots__ = ("agent", "asked", "branches", "current", "ledger", "main", "overrun", "place", "ready", "told")

    def __init__(self, agent: str, ledger: Ledger) -> None:
        self.agent = agent
        self.ledger = ledger
        self.main: Branch | None = None
        self.current: Branch | None = None
        self.branches: dict[Branch, None] | None = None  # those under way besides the main one, oldest first
        self.ready: Several[Branch] = ()
        self.told: Several[tuple[Group[Any], Step[Any]]] = ()
        self.asked = 0
        self.place = 0
        self.overrun = False

    # --- running ----------------------------------------------------------------------------------------------------

    def begin(self, coroutine: Coroutine[Any, Any, Any], path: str = "") -> None:
        """Make ``coroutine`` the main branch; ``run`` starts it."""
        self.main = Branch(self, path, coroutine)
        self.ready = joined(self.ready, self.main)

    def open(self, path: str, coroutine: Coroutine[Any, Any, Any], parent: Branch | None) -> Branch:
        """A new branch at the end of the queue."""
        branch = Branch(self, path, coroutine)
        if self.branches is None:
            self.branches = {}
        self.branches[branch] = None
        self.place += 1
        kin.born(branch, self.place, parent.kin if parent is not None else None)
        self.ready = joined(self.ready, branch)
        return branch

    def run(self) -> None:
        """Go on until every branch waits, the main branch is done, or it asked for too much (``overrun``)."""
        main, place = self.main, 0
        while not self.overrun and not (main is not None and main.done):
            if self.told:
                self._tell()
            elif place < len(self.ready):
                branch = self.ready[place]
                place += 1
                if not branch.done:
                    self.resume(branch)
            else:
                break
        self.ready = ()

    def throw(self, error: BaseException) -> None:
        """Raise ``error`` in the main branch, where it waits now; ``run`` goes on from there."""
        assert self.main is not None
        self.main.awaits = None
        self.resume(self.main, error)

    def resume(self, branch: Branch, error: BaseException | None = None) -> None:
        """Run one branch until it waits or is done."""
        self.current, branch.running = branch, True
        try:
            awaited = branch.coroutine.send(None) if error is None else branch.coroutine.throw(error)
            while not isinstance(awaited, Step) or awaited.loop is not self:
                self.spend()
                awaited = branch.coroutine.throw(NotDurable(agent=self.agent, what=_foreign(awaited)))
        except StopIteration as stop:
            self._returned(branch, stop.value)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001 — whatever it is, it is the handler's, and ends its branch only
            self._raised(branch, raised)
        else:
            branch.awaits = awaited
            self.watch(awaited, branch)
        finally:
            self.current, branch.running = None, False
        if branch.doomed and not branch.done:
            self.cancel([branch])

    def spend(self, amount: int = 1) -> None:
        """Count what a handler asks for between two deliveries.

        Raises:
            Overrun: it is too much; ``overrun`` stays set, also when the handler takes the exception.
        """
        self.asked += amount
        if self.asked > LIMIT:
            self.overrun = True
        if self.overrun:
            raise Overrun

    def count(self, amount: int) -> None:
        """As ``spend``, where there is no handler to raise it in."""
        self.asked += amount
        if self.asked > LIMIT:
            self.overrun = True

    def _over(self, branch: Branch) -> None:
        kin.over(branch)
        if self.branches is not None:
            self.branches.pop(branch, None)
            self.branches = self.branches or None

    def _returned(self, branch: Branch, value: Any) -> None:
        branch.value = value
        self._over(branch)
        self.settle(branch)

    def _raised(self, branch: Branch, error: BaseException) -> None:
        branch.closing = True
        close(branch.coroutine)  # it may stand where it awaited something foreign, too often
        traceback = error.__traceback__
        branch.error = error.with_traceback(traceback.tb_next if traceback else None)  # without our own frame
        self._over(branch)
        self.settle(branch)

    # --- handles ----------------------------------------------------------------------------------------------------

    def watch(self, step: Step[Any], waiter: Branch | Group[Any]) -> None:
        """Have ``waiter`` told when ``step`` is done."""
        held = step.waiter
        if held is None:
            step.waiter = waiter
        elif type(held) is list:
            held.append(waiter)
        else:
            step.waiter = [held, waiter]

    def settle(self, step: Step[Any]) -> None:
        """``step`` is done: let those that wait for it go on."""
        step.done = True
        waiter = step.waiter
        if waiter is None:
            return
        step.waiter = None
        for one in waiter if type(waiter) is list else (waiter,):
            if not isinstance(one, Branch):
                self.told = joined(self.told, (one, step))
            elif one.awaits is step:
                one.awaits = None
                self.ready = joined(self.ready, one)

    def _tell(self) -> None:
        told, self.told = self.told, ()
        for group, step in told:
            if not group.done:
                group.member_done(step)

    # --- the end of what nobody waits for ---------------------------------------------------------------------------

    def cancel(self, steps: Iterable[Step[Any]]) -> None:
        """End ``steps``, the members of groups among them, and all that closed branches had opened."""
        losers: set[Branch] = set()
        rest = list(steps)[::-1]
        while rest:
            step = rest.pop()
            if step.done:
                continue
            if isinstance(step, Branch):
                losers.add(step)
            elif isinstance(step, Recorded):
                self._drop(step)
            else:
                assert isinstance(step, Group)
                self._cancelled(step)
                rest.extend(step.members[::-1])
        if losers:
            self._close(losers)

    def close_children(self) -> None:
        """Close every branch but the main one."""
        self._close(set(self.branches or ()))

    def close_all(self) -> None:
        """Close every branch, the main one last."""
        self.close_children()
        if self.main is not None and not self.main.done:
            self._close_one(self.main)
        self.ready = self.told = ()
        self.main = None  # it holds this loop

    def _close(self, losers: set[Branch]) -> None:
        """Close ``losers`` and the branches that they opened, youngest first; then drop the steps of all of them."""
        for branch in (closing := kin.closing(losers, self.branches or {})):
            self._close_one(branch)
        for step in kin.asked_by(closing):
            self._drop(step)

    def _close_one(self, branch: Branch) -> None:
        if branch.running:
            branch.doomed = True
            return
        current, self.current = self.current, branch
        branch.closing = branch.running = True
        close(branch.coroutine)
        branch.running, self.current = False, current
        self._over(branch)
        self._cancelled(branch)

    def _drop(self, step: Recorded[Any]) -> None:
        self.ledger.cancel(step)
        self._cancelled(step)

    def _cancelled(self, step: Step[Any]) -> None:
        step.error = CANCELLED
        self.settle(step)


def close(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine, also one whose clean-up raises, or awaits what it may not.

    Not by its own ``close``: that gives up on coroutines inside it when they await while they are cleaning up.
    """
    for _ in range(_PATIENCE):
        try:
            coroutine.throw(Closing())
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 — nobody is there to hear of it
            return


def _foreign(awaited: object) -> str:
    if awaited is None:
        return "asyncio.sleep(0) or a bare yield"
    if isinstance(awaited, Step):
        return f"the step {awaited.key} of another run"
    kind = type(awaited)
    return f"a {kind.__module__.lstrip('_')}.{kind.__qualname__}"
