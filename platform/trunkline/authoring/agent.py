"""Agents: durable functions over a mailbox, with handlers for events that pass by the queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.context import Context
from trunkline.authoring.handlers import Body, Handler, read_handler
from trunkline.authoring.handling import Frame, Handling
from trunkline.authoring.instance import InstanceView, StateType, Upcast
from trunkline.authoring.names import check_event_type, check_path, restart_policy
from trunkline.authoring.signatures import scope_of_caller
from trunkline.domain.codec import digest
from trunkline.domain.errors import BadDeclaration, BadInput
from trunkline.domain.events import CloudEvent, parse_event
from trunkline.domain.journal import RunStarted
from trunkline.domain.specs import AgentSpec, ModelSettings, RestartPolicy, ScheduleSpec, Subscription
from trunkline.domain.status import OnBusy
from trunkline.engine.replay import RunDriver

if TYPE_CHECKING:
    from trunkline.authoring.app import App

__all__ = ["Agent", "InstanceView"]

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
E = TypeVar("E")

EventHandler = Callable[[Context[Any], E], Coroutine[Any, Any, None]]


class Agent(AgentRef[I, O]):
    """A declared kind of agent; made by ``app.agent`` and ``app.llm_agent``."""

    def __init__(
        self,
        name: str,
        *,
        app: App,
        main: Handler,
        on_busy: OnBusy,
        description: str,
        tools: tuple[str, ...] = (),
        state_version: int = 1,
        model: ModelSettings | None = None,
        body: Callable[[ModelSettings], Body] | None = None,
        schedules: tuple[ScheduleSpec, ...] = (),
        timeout: float | None = None,
        restart: str | RestartPolicy = "temporary",
    ) -> None:
        super().__init__(name, description, main.input, main.output)
        self.app = app
        self.state = StateType(main.state, target=f"agent {name!r}", version=state_version)
        self.handlers: dict[str, Handler] = {}  # by event type
        self._main = main
        self._on_busy = on_busy
        self._tools = tools
        self._model = model
        self._body = body
        self._schedules = schedules
        self._timeout = timeout
        self._restart = restart_policy(f"agent {name!r}", restart)
        self._spec: AgentSpec | None = None
        self._code = ""

    @property
    def spec(self) -> AgentSpec:
        """The declaration as data."""
        if self._spec is None:
            self._spec = self._described()
        return self._spec

    @property
    def code(self) -> str:
        """Which code this is, as far as it says so: the app's version, and what is declared apart from the definition.

        It is announced by workers and kept by runs. Whether code fits a run is for a replay to find out.
        """
        if not self._code:
            spec = self.spec.model_dump(mode="json", exclude={"model", "description", "restart"})
            self._code = digest([self.app.version, spec])[:12]
        return self._code

    def on(self, event_type: str, *, key: str | None = None) -> Callable[[EventHandler[E]], EventHandler[E]]:
        """Run a function when an event of this type comes, beside the instance's current run, between its steps.

        ``key`` is the path in the event to the instance's key, such as ``"data.order_id"``; without it the event's id
        is the key. The function is ``async def name(ctx: Context, event: DataType) -> None``.

        Raises:
            BadDeclaration: event type, path or function are not usable, or there is a handler for this type already.
        """
        scope = scope_of_caller(1)
        target = f"@{self.name}.on({event_type!r})"
        kind, path = check_event_type(target, event_type), check_path(target, key)

        def declare(fn: EventHandler[E]) -> EventHandler[E]:
            if kind in self.handlers:
                fix = "Keep one function for each event type"
                raise BadDeclaration(what=target, reason="this agent handles that event type already", fix=fix)
            handler = read_handler(fn, target=target, scope=scope, event_type=kind, key=path)
            self._check_state(handler, target)
            self.handlers[kind], self._spec, self._code = handler, None, ""
            return fn

        return declare

    def upcast(self, *, from_version: int) -> Callable[[Upcast], Upcast]:
        """Bring states of ``from_version`` to the next one: ``def name(state: dict) -> dict``, JSON to JSON.

        It is called whenever such a state is read, so it must be a plain function of it. There is one for each version
        before the agent's ``state_version``.

        Raises:
            BadDeclaration: the version is not below ``state_version``, has one already, or the function is not usable.
        """
        what = f"@{self.name}.upcast(from_version={from_version!r})"

        def declare(fn: Upcast) -> Upcast:
            if not callable(fn) or inspect.iscoroutinefunction(fn):
                fix = f"Write: def {getattr(fn, '__name__', 'name')}(state: dict) -> dict"
                raise BadDeclaration(what=what, reason="it is not a plain function", fix=fix)
            if type(from_version) is not int or not 0 < from_version < self.state.version:
                reason, fix = f"the agent is at state_version={self.state.version}", "Count it up in @app.agent(…)"
                raise BadDeclaration(what=what, reason=reason, fix=fix)
            if from_version in self.state.upcasts:
                raise BadDeclaration(what=what, reason="there is one already", fix="Keep one function for each version")
            self.state.upcasts[from_version] = fn
            return fn

        return declare

    def coroutine(self, driver: RunDriver, view: InstanceView, model: ModelSettings | None = None) -> Handling:
        """One run: the handler that it is for, from the recorded input to the result's JSON, or to its next beginning.

        ``model`` is what a model-driven agent's run began with; without it, it is what this code declares.

        Raises (when it is driven):
            BadInput: the input does not fit, or the run is for a handler that this code does not have.
            BadOutput, NotJson: what the handler returned cannot be recorded.
        """
        return Handling(partial(self._begin, driver, view, model))

    def _begin(
        self, driver: RunDriver, view: InstanceView, model: ModelSettings | None
    ) -> tuple[Frame, Coroutine[Any, Any, Any]]:
        handler = self._handler(driver.started)
        event = parse_event(driver.input) if by_event(driver.started) else None
        frame = Frame(view, self.state, event, handler)
        driver.final = True
        value = handler.input.decode(_input_of(driver.started, event, handler))
        driver.final = False
        fn = self._body(model) if self._body and model and handler is self._main else handler.fn
        return frame, fn(Context(driver, frame), value)

    def _handler(self, started: RunStarted) -> Handler:
        if not started.handler:
            return self._main
        handler = self.handlers.get(started.handler)
        if handler is None:
            reason = f"this version of the code has no @{self.name}.on({started.handler!r})"
            raise BadInput(target=f"agent {self.name!r}", reason=reason)
        return handler

    def _described(self) -> AgentSpec:
        self.state.check(f"agent {self.name!r}")
        return AgentSpec(
            name=self.name,
            app=self.app.name,
            description=self.description,
            kind="function" if self._model is None else "llm",
            input_schema=self.input.schema(),
            output_schema=self.output.schema(),
            state_schema=self.state.schema(),
            state_version=self.state.version,
            on_busy=self._on_busy,
            timeout=self._timeout,
            restart=self._restart,
            subscriptions=tuple(self._subscriptions()),
            schedules=self._schedules,
            tools=self._tools,
            model=self._model,
        )

    def _check_state(self, handler: Handler, target: str) -> None:
        if handler.state not in (None, self.state.annotation):
            fix = f"Write ctx: Context[{getattr(self.state.annotation, '__name__', self.state.annotation)}]"
            raise BadDeclaration(what=target, reason="its Context has another state than the agent's", fix=fix)

    def _subscriptions(self) -> list[Subscription]:
        wake = self._main
        own = [Subscription(agent=self.name, event_type=wake.event_type, key=wake.key)] if wake.event_type else []
        return own + [
            Subscription(agent=self.name, event_type=kind, key=handler.key, handler=kind)
            for kind, handler in self.handlers.items()
        ]


def by_event(started: RunStarted) -> bool:
    """Whether an event woke the run: its input is the whole event then."""
    return started.message_id.startswith("event:")


def _input_of(started: RunStarted, event: CloudEvent | None, handler: Handler) -> Any:
    return started.input if event is None or handler.wants_event else event.data
