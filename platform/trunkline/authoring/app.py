"""``App``: what a program declares, agents, tools, signals and sensors, and what its workers then carry out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from trunkline.authoring.agent import Agent
from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.docs import described
from trunkline.authoring.handlers import read_handler
from trunkline.authoring.model_agent import model_agent
from trunkline.authoring.names import (
    check_choice,
    check_duration,
    check_event_type,
    check_path,
    checked,
    register,
    retry_policy,
)
from trunkline.authoring.schedules import CronSpec, SensorLike, check_schedule
from trunkline.authoring.signals import SignalType
from trunkline.authoring.signatures import scope_of_caller
from trunkline.authoring.teams import Teams
from trunkline.authoring.timetable import Schedule, timetable
from trunkline.authoring.tool import AsyncTool, SyncTool, Tool, check_repeats, make_tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.authoring.typed import AgentDecorator, EffectName, OnBusyName, RestartName, ToolDecorator
from trunkline.domain import codec
from trunkline.domain.durations import Duration
from trunkline.domain.errors import BadDeclaration
from trunkline.domain.ids import check_name
from trunkline.domain.specs import AgentSpec, ModelSettings, RestartPolicy, RetryPolicy, ToolSpec
from trunkline.domain.status import Effect, OnBusy, Restart

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
O = TypeVar("O")  # noqa: E741

MOST_STATE_VERSIONS = 1000


class App(Teams):
    """One program. ``agents``, ``tools``, ``signals`` and ``sensors`` are what it has declared, by name."""

    def __init__(self, name: str, *, version: str = "") -> None:
        """``name`` becomes part of the subjects that its tools are called on. ``version`` names the code, such as a
        release or a commit: runs go to workers of the version that they began with where another does not fit.

        Raises:
            BadName: it is not 1 to 64 letters, digits, "_" or "-".
        """
        self.name = check_name("app", name)
        self.version = version
        self.agents: dict[str, Agent[Any, Any]] = {}
        self.tools: dict[str, Tool[..., Any]] = {}
        self.signals: dict[str, SignalType[Any]] = {}
        self.sensors: dict[str, CronSpec | SensorLike] = {}

    def specs(self) -> tuple[list[AgentSpec], list[ToolSpec]]:
        """The declarations as data: what a worker publishes when it starts."""
        return [agent.spec for agent in self.agents.values()], [tool.spec for tool in self.tools.values()]

    # --- tools ------------------------------------------------------------------------------------------------------

    @overload
    def tool(  # type: ignore[overload-overlap]  # the more special function comes first
        self, fn: Callable[Concatenate[ToolContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTool[P, R]: ...
    @overload
    def tool(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTool[P, R]: ...
    @overload
    def tool(self, fn: Callable[Concatenate[ToolContext, P], R], /) -> SyncTool[P, R]: ...
    @overload
    def tool(self, fn: Callable[P, R], /) -> SyncTool[P, R]: ...
    @overload
    def tool(
        self,
        fn: None = None,
        /,
        *,
        name: str | None = None,
        effect: EffectName | Effect = "pure",
        timeout: Duration = 30,
        retries: int | RetryPolicy = 0,
        concurrency: int = 16,
        rate: float | None = None,
        needs_approval: bool | Duration = False,
        probe: Callable[..., Any] | None = None,
        process: bool = False,
    ) -> ToolDecorator: ...
    def tool(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        effect: EffectName | Effect = "pure",
        timeout: Duration = 30,
        retries: int | RetryPolicy = 0,
        concurrency: int = 16,
        rate: float | None = None,
        needs_approval: bool | Duration = False,
        probe: Callable[..., Any] | None = None,
        process: bool = False,
    ) -> Any:
        """Declare a function, asynchronous or not, as a tool: ``@app.tool`` or ``@app.tool(effect="idempotent")``.

        ``effect`` is what repeating it would do: ``pure`` and ``idempotent`` tools may run again after a crash, an
        ``unsafe`` one never does. ``timeout`` is for one attempt, ``retries`` are the attempts after the first;
        ``concurrency`` (executions at once) and ``rate`` (executions a second) are for one worker process. A tool that
        ``needs_approval`` waits for somebody's decision before each call (see ``Context.approve``), for ever or for the
        duration given. ``probe`` finds out what became of a call of an unsafe tool whose outcome was lost: a function
        of the same parameters that returns ``Happened(result)`` or ``NotHappened()``, or raises if it cannot tell.
        With ``process`` a ``def`` at the top of its module runs in a process of its own, killed at its timeout.

        Raises:
            BadName: the name, or that of the function, cannot stand in a subject.
            BadDeclaration: the function cannot be a tool, an argument is out of range, or the name is taken.
        """
        scope = scope_of_caller(1)
        what = f"tool {name or getattr(fn, '__name__', '')!r}".replace(" ''", "")
        retry = retry_policy(what, retries)
        check_repeats(what, unsafe=effect == Effect.UNSAFE, retries=retry.retries, probe=probe is not None)
        expires = None if isinstance(needs_approval, bool) else check_duration(what, "needs_approval", needs_approval)
        policy = {
            "effect": check_choice(what, "effect", Effect, effect),
            "timeout": check_duration(what, "timeout", timeout),
            "retry": retry,
            "concurrency": concurrency,
            "rate": rate,
            "needs_approval": needs_approval is not False,
            "approval_timeout": expires,
        }

        def declare(function: Callable[..., Any]) -> Tool[..., Any]:
            how = {"name": name, "scope": scope, "policy": policy, "probe": probe, "process": process}
            tool = make_tool(function, app=self.name, **how)
            register(self.tools, "tool", tool.name, tool)
            return tool

        return declare if fn is None else declare(fn)

    # --- agents -----------------------------------------------------------------------------------------------------

    def agent(
        self,
        name: str,
        *,
        on: str | None = None,
        key: str | None = None,
        schedule: Schedule | Sequence[Schedule] = (),
        timeout: Duration | None = None,
        on_busy: OnBusyName | OnBusy = "queue",
        restart: RestartName | Restart | RestartPolicy = "temporary",
        description: str = "",
        state_version: int = 1,
    ) -> AgentDecorator:
        """Declare ``async def handler(ctx: Context, input: InputType) -> OutputType`` as an agent.

        With ``on``, events of that type start a run of the instance whose key stands at the path ``key`` in the event,
        such as ``"data.order_id"`` (without ``key``: one instance an event); the input is then the event's data, or the
        whole event where it is annotated as ``CloudEvent``. With ``schedule`` (``Cron``, ``Every`` or ``At``; several
        in a list) the clock starts runs. The handler's declared type then decides what it gets: a ``Tick``, which says
        when it was due, or, declared as ``None``, nothing; a type that cannot take a ``Tick`` is refused. ``on_busy``
        says what a request does to an instance that is busy with another run. A run that has not ended ``timeout``
        after it began is cancelled; ``restart`` says whether one that failed is begun again ("transient"), one that
        returned as well ("permanent"), or neither ("temporary"); a ``RestartPolicy`` also says how often.
        ``Context[State]`` gives its instances a state; count ``state_version`` up when states that are recorded do not
        fit any more, and bring them over with ``agent.upcast``.

        Raises:
            BadName: the name cannot stand in a subject.
            BadDeclaration: the function cannot be a handler, an argument is not usable, or the name is taken.
        """
        scope = scope_of_caller(1)
        what = f"agent {check_name('agent', name)!r}"
        event_type, path = "" if on is None else check_event_type(what, on), check_path(what, key)
        if key is not None and on is None:
            fix = f'Write on="order.placed", key="{key}"'
            raise BadDeclaration(what=what, reason="key= is a path into an event, and there is no on=", fix=fix)
        policy = check_choice(what, "on_busy", OnBusy, on_busy)
        if type(state_version) is not int or not 0 < state_version <= MOST_STATE_VERSIONS:
            fix = "Begin with 1, and count up"
            raise BadDeclaration(what=what, reason=f"state_version={state_version!r} is no such number", fix=fix)
        limit = None if timeout is None else check_duration(what, "timeout", timeout)

        def declare(fn: Any) -> Agent[Any, Any]:
            handler = read_handler(fn, target=what, scope=scope, event_type=event_type, key=path)
            text = description or described(fn)[0]
            times = timetable(what, schedule, name, handler.input)
            agent: Agent[Any, Any] = Agent(
                name,
                app=self,
                main=handler,
                on_busy=policy,
                description=text,
                state_version=state_version,
                schedules=times,
                timeout=limit,
                restart=restart,
            )
            register(self.agents, "agent", name, agent)
            return agent

        return declare

    @overload
    def llm_agent(
        self,
        name: str,
        *,
        model: str,
        instructions: str = "",
        tools: Sequence[Tool[..., Any] | AgentRef[Any, Any]] = (),
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        max_turns: int = 10,
        max_repairs: int = 2,
        timeout: Duration = 120,
        run_timeout: Duration | None = None,
        retries: int | RetryPolicy = 3,
        pool: str = "default",
        on_busy: OnBusyName | OnBusy = "queue",
        restart: RestartName | Restart | RestartPolicy = "temporary",
        description: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Agent[str, str]: ...
    @overload
    def llm_agent(
        self,
        name: str,
        *,
        model: str,
        output: type[O],
        instructions: str = "",
        tools: Sequence[Tool[..., Any] | AgentRef[Any, Any]] = (),
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        max_turns: int = 10,
        max_repairs: int = 2,
        timeout: Duration = 120,
        run_timeout: Duration | None = None,
        retries: int | RetryPolicy = 3,
        pool: str = "default",
        on_busy: OnBusyName | OnBusy = "queue",
        restart: RestartName | Restart | RestartPolicy = "temporary",
        description: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Agent[str, O]: ...
    def llm_agent(
        self,
        name: str,
        *,
        model: str,
        output: Any = str,
        instructions: str = "",
        tools: Sequence[Tool[..., Any] | AgentRef[Any, Any]] = (),
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        max_turns: int = 10,
        max_repairs: int = 2,
        timeout: Duration = 120,
        run_timeout: Duration | None = None,
        retries: int | RetryPolicy = 3,
        pool: str = "default",
        on_busy: OnBusyName | OnBusy = "queue",
        restart: RestartName | Restart | RestartPolicy = "temporary",
        description: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Agent[Any, Any]:
        """Build an agent that a model drives: it takes text, may call ``tools`` (agents too), and answers ``output``.

        ``max_turns`` bounds the model calls of a run; of these ``max_repairs`` may ask again because an answer did not
        fit ``output``. ``timeout`` and ``retries`` are for one call; ``run_timeout`` is as ``timeout`` of ``agent``.
        ``pool`` names the LLM workers that take it. ``extra`` goes to the provider as it is; ``on_busy`` and
        ``restart`` are as for ``agent``.

        Raises:
            BadName: name or pool cannot stand in a subject.
            BadDeclaration: a tool is not a tool, an argument is out of range, or the name is taken.
        """
        what = f"agent {check_name('agent', name)!r}"
        settings = checked(
            what,
            ModelSettings,
            model=model,
            instructions=inspect.cleandoc(instructions),
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            max_turns=max_turns,
            max_repairs=max_repairs,
            timeout=check_duration(what, "timeout", timeout),
            retry=retry_policy(what, retries, base=0.5),
            pool=check_name("pool", pool),
            extra=codec.roundtrip(extra or {}, what="extra="),
        )
        policy = check_choice(what, "on_busy", OnBusy, on_busy)
        limit = None if run_timeout is None else check_duration(what, "run_timeout", run_timeout)
        terms: dict[str, Any] = {"on_busy": policy, "timeout": limit, "restart": restart, "description": description}
        agent = model_agent(self, name, settings, tools=tools, output=output, **terms)
        register(self.agents, "agent", name, agent)
        return agent

    # --- signals and sensors ----------------------------------------------------------------------------------------

    def signal(self, name: str, type_: type[T]) -> SignalType[T]:
        """Declare a kind of signal, for ``ctx.wait_for``.

        Raises:
            BadName: the name is not a legal one.
            BadDeclaration: the type has no JSON form, or the name is taken.
        """
        signal = SignalType(name, type_)
        register(self.signals, "signal", name, signal)
        return signal

    def cron(self, name: str, schedule: str, event_type: str, *, tz: str = "UTC", data: Any = None) -> None:
        """Publish an event whenever ``schedule`` (five fields, or six with seconds first) is due.

        Raises:
            BadName: the name is not a legal one.
            BadDeclaration: schedule, time zone or event type are not understood, or the name is taken.
            NotJson: ``data`` has no JSON form.
        """
        what = f"cron {check_name('sensor', name)!r}"
        check_schedule(what, schedule, tz)
        kind = check_event_type(what, event_type)
        plain = codec.roundtrip(data, what=f"the data of {what}")
        register(self.sensors, "sensor", name, CronSpec(name, schedule, kind, tz, plain))

    def sensor(self, sensor: SensorLike) -> None:
        """Declare a sensor of one's own: an object with a ``name`` and ``async def run(publish)``.

        Raises:
            BadName: its name is not a legal one.
            BadDeclaration: it has no ``run``, or the name is taken.
        """
        name = check_name("sensor", getattr(sensor, "name", ""))
        if not inspect.iscoroutinefunction(getattr(sensor, "run", None)):
            fix = "Give it async def run(self, publish), which publishes until it is cancelled"
            raise BadDeclaration(what=f"sensor {name!r}", reason="it has no async run()", fix=fix)
        register(self.sensors, "sensor", name, sensor)

    def __repr__(self) -> str:
        return f"<App {self.name}>"
