"""The part of ``App`` that declares teams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

from trunkline.authoring.agent import Agent
from trunkline.authoring.handlers import Handler
from trunkline.authoring.names import check_choice, check_duration, checked, register
from trunkline.authoring.schema import Shape
from trunkline.authoring.team import Member, Team, check_members
from trunkline.authoring.timetable import Schedule, timetable
from trunkline.authoring.typed import OnBusyName
from trunkline.domain.durations import Duration
from trunkline.domain.errors import BadOutput
from trunkline.domain.ids import check_name
from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import OnBusy, Restart, Strategy

I = TypeVar("I")  # noqa: E741

StrategyName = Literal["one_for_one", "one_for_all", "rest_for_one"]


class Teams:
    """What an app can do besides declaring single agents. ``agents`` are those it has declared, by name."""

    agents: dict[str, Agent[Any, Any]]

    @overload
    def team(
        self,
        name: str,
        *,
        members: Sequence[Member[Any]],
        input: type[I],
        strategy: StrategyName | Strategy = "one_for_one",
        max_restarts: int = 3,
        within: Duration = "1m",
        delay: Duration = 0.2,
        longest_delay: Duration = 30,
        shutdown: Duration = 30,
        schedule: Schedule | Sequence[Schedule] = (),
        timeout: Duration | None = None,
        on_busy: OnBusyName | OnBusy = "queue",
        description: str = "",
    ) -> Agent[I, dict[str, Any]]: ...
    @overload
    def team(
        self,
        name: str,
        *,
        members: Sequence[Member[Any]],
        strategy: StrategyName | Strategy = "one_for_one",
        max_restarts: int = 3,
        within: Duration = "1m",
        delay: Duration = 0.2,
        longest_delay: Duration = 30,
        shutdown: Duration = 30,
        schedule: Schedule | Sequence[Schedule] = (),
        timeout: Duration | None = None,
        on_busy: OnBusyName | OnBusy = "queue",
        description: str = "",
    ) -> Agent[Any, dict[str, Any]]: ...
    def team(
        self,
        name: str,
        *,
        members: Sequence[Member[Any]],
        input: Any = Any,  # noqa: A002
        strategy: StrategyName | Strategy = "one_for_one",
        max_restarts: int = 3,
        within: Duration = "1m",
        delay: Duration = 0.2,
        longest_delay: Duration = 30,
        shutdown: Duration = 30,
        schedule: Schedule | Sequence[Schedule] = (),
        timeout: Duration | None = None,
        on_busy: OnBusyName | OnBusy = "queue",
        description: str = "",
    ) -> Agent[Any, dict[str, Any]]:
        """Declare an agent that starts ``members`` in order, and begins again those that end and should not have.

        ``input`` is the type that it takes. ``strategy`` says who is begun again with a member that ended:
        ``one_for_one`` nobody else, ``rest_for_one`` those that were started after it, ``one_for_all`` everybody; those
        that run are cancelled first, the last one first, and each has ``shutdown`` to end. More than ``max_restarts``
        restarts ``within`` that time are too many: the team stops its members, and fails with ``RestartsExhausted``;
        a team of which it is a member then begins it again. Delays double from ``delay`` to ``longest_delay``, with
        jitter. The team completes when every member has ended for good, and returns what each returned (or its error)
        by the member's name. ``schedule``, ``timeout`` and ``on_busy`` are those of any agent.

        Raises:
            BadName: the name cannot stand in a subject.
            BadDeclaration: members or another argument are not usable, or the name is taken.
        """
        what = f"team {check_name('agent', name)!r}"
        policy = checked(
            what,
            RestartPolicy,
            restart=Restart.PERMANENT,
            max_restarts=max_restarts,
            within=check_duration(what, "within", within),
            base=check_duration(what, "delay", delay),
            cap=check_duration(what, "longest_delay", longest_delay),
        )
        team = Team(
            name,
            check_members(what, members),
            check_choice(what, "strategy", Strategy, strategy),
            policy,
            check_duration(what, "shutdown", shutdown),
        )
        shape: Shape[Any] = Shape(input, target=what)
        output: Shape[Any] = Shape(dict[str, Any], target=what, misfit=BadOutput)
        agent: Agent[Any, dict[str, Any]] = Agent(
            name,
            app=self,  # type: ignore[arg-type]  # App is made of this
            main=Handler(fn=team.run, input=shape, output=output),
            on_busy=check_choice(what, "on_busy", OnBusy, on_busy),
            description=description or f"a team of {', '.join(member.name for member in team.members)}",
            schedules=timetable(what, schedule, name, shape),
            timeout=None if timeout is None else check_duration(what, "timeout", timeout),
        )
        register(self.agents, "agent", name, agent)
        return agent
