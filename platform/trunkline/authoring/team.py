"""Teams: agents whose body spawns its members, and begins again what fails, as a strategy says.

It is a body like any other, on the same ``Context``: what it decides follows from its journal, so that a team survives
the death of its worker as every run does. It forgets nothing while it runs; ``Standing`` is all that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.calls import check_agent
from trunkline.authoring.children import Child, Ended, spawn_step
from trunkline.authoring.context import Context
from trunkline.authoring.names import restart_policy
from trunkline.authoring.typed import RestartName
from trunkline.domain.errors import BadDeclaration, RestartsExhausted, RunCancelled
from trunkline.domain.ids import check_key, check_name
from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Restart, Strategy
from trunkline.engine.restart import Exhausted, not_again, restart
from trunkline.engine.step import Step
from trunkline.engine.strategy import change

I = TypeVar("I")  # noqa: E741

TIMED_OUT = {"type": "ShutdownTimedOut", "message": "it was cancelled, and has not ended in time", "retryable": False}


class Member(Generic[I]):
    """One place in a team."""

    def __init__(
        self,
        agent: AgentRef[I, Any],
        input: I | Callable[[Any], I] | None = None,  # noqa: A002
        *,
        name: str | None = None,
        key: str | Callable[[Any], str] | None = None,
        restart: RestartName | Restart | RestartPolicy = "permanent",
    ) -> None:
        """``input``, and ``key`` of its instance, are values, or plain functions of the team's input (and of nothing
        else: they are called again on replay). Without ``key`` the instance is the team's own. ``name`` (the agent's
        unless given) is unique in the team.

        ``restart`` says when it is begun again: ``permanent`` always, ``transient`` unless it completed, ``temporary``
        never. A ``RestartPolicy`` says also after which delay, and how often this member may be.

        Raises:
            BadDeclaration: the agent is not an agent, or ``restart`` no choice.
            BadName, BadKey: name or key are not usable.
            BadInput, NotJson: a value that the agent does not take.
        """
        check_agent(agent, "Member")
        self.agent = agent
        self.name = check_name("member", agent.name if name is None else name)
        self.input = input
        self.key = check_key(key) if isinstance(key, str) else key
        self.restart = restart_policy(f"member {self.name!r}", restart)
        self.paced = isinstance(restart, RestartPolicy)  # it has delays, and an intensity, of its own
        if not callable(input):
            agent.input.encode(input)

    def input_for(self, value: Any) -> Any:
        """What it is given in a team whose input is ``value``."""
        given: Any = self.input
        return given(value) if callable(given) else given

    def key_for(self, value: Any, run: str) -> str:
        """The instance that it is of, in the team's run ``run``."""
        if self.key is None:
            return f"{run}-{self.name}"
        return self.key(value) if callable(self.key) else self.key


@dataclass(frozen=True)
class Team:
    """A declared team. ``policy`` is its intensity, and the delays of members without their own; ``shutdown`` is how
    many seconds a member has to end when it is stopped.
    """

    name: str
    members: tuple[Member[Any], ...]
    strategy: Strategy
    policy: RestartPolicy
    shutdown: float

    async def run(self, ctx: Context[Any], value: Any) -> dict[str, Any]:
        """The body of the team's agent."""
        return await Standing(self, ctx, value).run()

    def policy_of(self, member: Member[Any]) -> RestartPolicy:
        """When the member is begun again, and after which delay."""
        if member.paced:
            return member.restart
        return self.policy.model_copy(update={"restart": member.restart.restart})


class Slot:
    """One member as it stands: it runs (``child`` and its ``end``), or is ``due`` again, or has ended for good."""

    def __init__(self, place: int, member: Member[Any]) -> None:
        self.place = place
        self.member = member
        self.child: Child[Any] | None = None
        self.end: Step[Ended] | None = None
        self.due: Step[None] | None = None
        self.restarts: tuple[float, ...] = ()
        self.last: Ended | None = None

    @property
    def handles(self) -> list[Step[Any]]:
        """What is to be heard of it next."""
        return [step for step in (self.end, self.due) if step is not None]

    def ended(self, end: Ended) -> None:
        self.last, self.child, self.end = end, None, None

    @property
    def outcome(self) -> Any:
        """What the team's output says of it."""
        last = self.last
        return None if last is None else last.output if last.completed else last.error


class Standing:
    """A team under way."""

    def __init__(self, team: Team, ctx: Context[Any], value: Any) -> None:
        self._team = team
        self._ctx = ctx
        self._value = value
        self._slots = [Slot(place, member) for place, member in enumerate(team.members)]
        self._restarts: tuple[float, ...] = ()

    async def run(self) -> dict[str, Any]:
        """Start the members in order, and stand by until all have ended for good. Whatever ends it before stops those
        that still run, in reverse order.
        """
        try:
            await self._start(self._slots)
            while handles := dict.fromkeys(step for slot in self._slots for step in slot.handles):
                await self._ctx.first([*handles])
                await self._look()
        except (Exception, RunCancelled):
            await self._stop(self._slots[::-1])
            raise
        return {slot.member.name: slot.outcome for slot in self._slots}

    async def _look(self) -> None:
        """Do what is to be done about the members of whom something was heard."""
        while True:
            due = [slot for slot in self._slots if slot.due is not None and slot.due.done]
            gone = next((slot for slot in self._slots if slot.end is not None and slot.end.done), None)
            if gone is not None and gone.end is not None:
                gone.ended(gone.end.result())
                await self._again(gone)
            elif due:
                await self._start(due)
            else:
                return

    async def _start(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            member, ctx = slot.member, self._ctx
            key, value = member.key_for(self._value, ctx.run_id), member.input_for(self._value)
            slot.due = None
            slot.child = await spawn_step(ctx, member.agent, value, key, "stop", link=False, restart=False)
            slot.end = slot.child.ended()

    async def _again(self, slot: Slot) -> None:
        """A member has ended: begin it again, and with it those that the strategy names, or let it be."""
        delay = self._delay(slot)
        if delay is None:
            return
        up = [one.place for one in self._slots if one.child is not None]
        lasting = [one.place for one in self._slots if one.member.restart.restart is not Restart.TEMPORARY]
        entailed = change(self._team.strategy, slot.place, len(self._slots), up=up, lasting=lasting)
        await self._stop(self._slots[place] for place in entailed.stop)
        timer = self._ctx.sleep(delay)
        for place in entailed.start:
            self._slots[place].due = timer

    def _delay(self, slot: Slot) -> float | None:
        """Seconds until the member is begun again; ``None``: it has ended for good.

        Raises:
            RestartsExhausted: it, or the team, was begun again too often, or it may not be begun again.
        """
        assert slot.last is not None
        now, failed, seed = self._ctx.now().timestamp(), not slot.last.completed, f"{self._ctx.run_id}:{slot.place}"
        policy, team = self._team.policy_of(slot.member), self._team.policy
        own = restart(policy, failed=failed, restarts=slot.restarts, now=now, seed=seed)
        if own is None:
            return None
        error = slot.last.error or {"type": "none", "message": "it completed"}
        if error.get("unsafe"):
            raise self._given_up(slot, not_again(str(error["unsafe"])), error)
        whole = restart(team, failed=failed, restarts=self._restarts, now=now, seed=seed)
        for decision in (own, whole):
            if isinstance(decision, Exhausted):
                raise self._given_up(slot, str(decision), error)
        assert not isinstance(own, Exhausted)
        assert whole is not None
        assert not isinstance(whole, Exhausted)
        slot.restarts, self._restarts = own.restarts, whole.restarts
        return own.delay

    def _given_up(self, slot: Slot, how: str, error: dict[str, Any]) -> RestartsExhausted:
        what = f"member {slot.member.name!r} of team {self._team.name!r}"
        return RestartsExhausted(what=what, how=how, type=str(error.get("type")), message=str(error.get("message")))

    async def _stop(self, slots: Iterable[Slot]) -> None:
        """Cancel members one after the other, and wait for each, but not for ever: its instance has one run at a time,
        so whatever is begun in its place waits for it.
        """
        for slot in slots:
            slot.due = None
            if slot.child is None or slot.end is None:
                continue
            end: Ended | None = slot.end.result() if slot.end.done else None
            if end is None:
                await slot.child.cancel(f"stopped by team {self._team.name}")
                end = await self._ctx.race(slot.end, self._ctx.sleep(self._team.shutdown))
            child = slot.child
            late = Ended(agent=child.agent, key=child.key, run=child.run, status="cancelled", error=TIMED_OUT)
            slot.ended(late if end is None else end)


def check_members(what: str, members: Sequence[Any]) -> tuple[Member[Any], ...]:
    """The members of a team.

    Raises:
        BadDeclaration: there are none, one is no ``Member``, or two have one name.
    """
    fix = 'Write members=[Member(researcher, "topic"), Member(writer, …)]'
    if not members or any(not isinstance(member, Member) for member in members):
        raise BadDeclaration(what=what, reason="members= are not a list of Member", fix=fix)
    names = [member.name for member in members]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadDeclaration(what=what, reason=f"two members have the name {twice!r}", fix="Give one of them name=")
    return tuple(members)
