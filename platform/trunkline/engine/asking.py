"""What a handler asks of its driver: steps, branches and groups, and what must be the same on every replay."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from sys import intern
from typing import Any, TypeVar

from trunkline.domain.errors import BadDeclaration, ContextClosed, NotDurable
from trunkline.domain.journal import RunStarted
from trunkline.engine.branch import Branch
from trunkline.engine.branches import Closing, Loop
from trunkline.engine.groups import First, Gather, Map, Race, Within, check_members, discard
from trunkline.engine.ledger import Ledger
from trunkline.engine.step import Recorded, Step, as_json, fresh

T = TypeVar("T")

_REFUSALS = 1000  # ctx calls that a closing branch may try


class Asking:
    """The part of ``RunDriver`` that is there for the context: it knows which branch calls, and refuses who may not."""

    __slots__ = ("_closed", "_ledger", "_loop", "_refused", "agent", "ended", "started")

    _closed: bool
    _ledger: Ledger
    _loop: Loop
    _refused: int
    agent: str
    ended: bool
    started: RunStarted

    def schedule(
        self,
        kind: str,
        name: str,
        args: Any = None,
        *,
        options: dict[str, Any] | None = None,
        key: str | None = None,
        decode: Callable[[Any], T] | None = None,
        payload: Any = None,
    ) -> Step[T]:
        """Ask for a step. ``args`` and ``options`` are JSON values that nobody changes; ``payload`` is not journalled.

        Raises:
            BadDeclaration: ``key`` is not usable, or was used before in this branch.
            ContextClosed: the run is over here, or the calling branch is being closed.
            NotDurable: called from something that runs beside the handler.
        """
        loop = self._loop
        branch = loop.current
        if branch is None or branch.closing:
            branch = self._refuse()
        loop.spend()
        kind = intern(str(kind))  # an enum's member would be copied for each step
        step_key = branch.next_key(f"{kind}:{name}") if key is None else branch.chosen_key(kind, key)
        step: Recorded[T] = Recorded(loop, step_key, kind, branch, as_json if decode is None else decode)
        step.done = self._ledger.ask(step, name, args, options, payload)
        if branch.kin is not None and not step.done:
            loop.place += 1
            branch.kin.asked[step] = loop.place
        return step

    def gather(self, members: Sequence[Awaitable[Any]]) -> Step[tuple[Any, ...]]:
        """All values, in order. The first failure (in journal order) cancels the other members, and is raised."""
        branch, key = self._group("gather", members)
        return Gather(self._loop, key, members, branch)

    def map(
        self, apply: Callable[[Any], Awaitable[Any]], items: Sequence[Any], concurrency: int | None = None
    ) -> Step[list[Any]]:
        """``apply(item)`` for each item in a branch of its own, ``concurrency`` of them at a time; fails as gather."""
        if concurrency is not None and concurrency < 1:
            raise BadDeclaration(what="ctx.map", reason="concurrency is below 1", fix="Pass concurrency=1 or more.")
        branch, key = self._group("map", ())
        return Map(self._loop, key, apply, items, width=concurrency or len(items), parent=branch)

    def race(self, members: Sequence[Awaitable[Any]]) -> Race:
        """What the first member that is done gives or raises; the others are cancelled. ``winner`` is its place."""
        if not members:
            raise BadDeclaration(what="ctx.race", reason="it has nothing to race", fix="Pass at least one step.")
        branch, key = self._group("race", members)
        return Race(self._loop, key, members, branch)

    def first(self, members: Sequence[Step[Any]]) -> Step[None]:
        """Done as soon as one of ``members`` is; the others go on."""
        return First(self._loop, self._group("first", members)[1], members)

    def within(self, limit: float, member: Awaitable[T]) -> Step[T]:
        """What ``member`` gives or raises, or ``TimedOut`` after ``limit`` seconds; then it is cancelled."""
        branch, key = self._group("within", (member,))
        timer: Step[None] = self.schedule("sleep", "timeout", options={"delay": limit})
        return Within(self._loop, key, member, timer, limit=limit, parent=branch)

    def branch(self, name: str, coroutine: Coroutine[Any, Any, T]) -> Step[T]:
        """``coroutine`` as a branch of its own; the keys of its steps begin with ``name`` and its occurrence."""
        parent, key = self._group(name, (coroutine,))
        return self._loop.open(f"{key}/", coroutine, parent)

    def check_main(self, what: str) -> None:
        """``what`` is for the handler's own coroutine alone.

        Raises:
            BadDeclaration: it is called in a branch.
            ContextClosed, NotDurable: as ``schedule``.
        """
        branch = self._loop.current
        if branch is None or branch.closing:
            branch = self._refuse()
        if branch is not self._loop.main:
            fix = "Call it in the handler itself, when what is under way there has ended"
            raise BadDeclaration(what=what, reason="it is called in a gather, map, race or within", fix=fix)

    @property
    def input(self) -> Any:
        """The run's input, as JSON of the caller's own: to change it does not change the journal."""
        return fresh(self.started.input)

    @property
    def now(self) -> float:
        """Seconds since the epoch: the time of the last delivery."""
        return self._ledger.now

    @property
    def random(self) -> random.Random:
        """The calling branch's generator, seeded by the run's seed and the branch's path."""
        branch = self._loop.current
        if branch is None:
            branch = self._refuse()
        if branch.rng is None:
            branch.rng = random.Random(f"{self.started.seed}:{branch.path}")  # noqa: S311 — it is to be repeatable
        return branch.rng

    def uuid(self) -> uuid.UUID:
        """A UUIDv4 from ``random``."""
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def _refuse(self) -> Branch:
        """A ctx call that cannot be served: after the end, from a closing branch, or from beside the handler."""
        if self._loop.current is not None:
            self._refused += 1
            if self._refused > _REFUSALS:
                raise Closing  # a clean-up that tries again for ever must not hold the worker
        elif not (self.ended or self._closed):
            raise NotDurable(agent=self.agent, what="something that runs beside it and uses ctx")
        raise ContextClosed

    def _group(self, name: str, members: Sequence[Any]) -> tuple[Branch, str]:
        try:
            branch = self._loop.current
            if branch is None or branch.closing:
                branch = self._refuse()
            check_members(name, members)
            self._loop.spend(sum(map(_costs, members)) + 1)
            return branch, branch.group_key(name)
        except BaseException:
            discard(members)
            raise


def _costs(member: Any) -> bool:
    """Whether a member of a group counts as something asked for: a handle did when it was made, but once only."""
    return not isinstance(member, Step) or member.done or member.waiter is not None
