"""``Context``: everything that a handler may do. Each method makes a recorded step at once, and returns its handle.

A handle may be awaited now, later, or in ``gather`` and ``race``. What is recorded is never done again: after a
crash the handler runs from its beginning, and each step gives back what it gave before.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVarTuple, cast, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from trunkline.authoring import calls
from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.children import nothing
from trunkline.authoring.handling import Frame
from trunkline.authoring.local_call import LocalCall, LocalFunction, local_name
from trunkline.authoring.names import check_duration, retry_policy
from trunkline.authoring.renewing import Renewing
from trunkline.authoring.schema import reason_of
from trunkline.authoring.signals import APPROVAL, Approval, SignalType
from trunkline.authoring.signatures import scope_of_caller
from trunkline.authoring.supervising import Supervising
from trunkline.authoring.tool import Tool
from trunkline.domain import codec
from trunkline.domain.approvals import signal_name
from trunkline.domain.durations import Duration, seconds
from trunkline.domain.errors import BadDeclaration, BadInput
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import check_name
from trunkline.domain.specs import RetryPolicy
from trunkline.domain.status import StepKind
from trunkline.engine.replay import RunDriver
from trunkline.engine.step import Step, fresh

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
Ts = TypeVarTuple("Ts")
S = TypeVar("S", default=Any)

CANCEL_RUN = "trunkline.cancel"


class Context(Supervising, Renewing, Generic[S]):
    """One run, seen from its handler. ``S`` is the type of the instance's state: a model whose fields have defaults."""

    __slots__ = ("_frame",)

    def __init__(self, driver: RunDriver, frame: Frame, key: str | None = None) -> None:
        super().__init__(driver, key)
        self._frame = frame

    # --- effects ----------------------------------------------------------------------------------------------------

    def call(self, tool: Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Step[R]:
        """Have a tool worker carry out ``tool``. A tool that needs an approval asks for it first.

        Raises (at once):
            BadDeclaration: ``tool`` is not a tool.
            BadInput, NotJson: the arguments do not fit its signature.
        Raises (when awaited):
            ToolFailed: it failed, and no attempt is left; ``type`` is ``Denied`` when the approval was refused.
        """
        calls.check_tool(tool)
        arguments = tool.bind(args, kwargs)
        if not tool.spec.needs_approval:
            return calls.tool_step(self, tool, arguments)
        return self.apart(f"approved:{tool.name}", calls.approved(self, tool, arguments))

    def ask(
        self,
        agent: AgentRef[I, O],
        input: I,  # noqa: A002
        /,
        *,
        key: str | None = None,
        timeout: Duration | None = None,
    ) -> Step[O]:
        """Have another agent handle ``input``: its instance ``key``, or without one an instance of this step's own.

        The asked run has this one's deadline, if there is one. After ``timeout`` nobody waits for it any more: an
        instance of this step's own is cancelled, a shared one goes on.

        Raises (at once):
            BadDeclaration: ``agent`` is not an agent.
            BadInput, NotJson, BadKey, BadDuration: input, key or timeout are not usable.
        Raises (when awaited):
            AskFailed: the asked run failed, was cancelled, or waits itself for this run (``type`` is ``AskCycle``).
            TimedOut: it has not ended within ``timeout``.
        """
        limit = None if timeout is None else seconds(timeout)
        asked = calls.agent_step(self, agent, input, key)
        return asked if limit is None else self._driver.within(limit, asked)

    @overload
    def step(
        self,
        fn: Callable[[*Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        name: str | None = None,
        timeout: Duration = 60,
        retries: int | RetryPolicy = 0,
    ) -> Step[R]: ...
    @overload
    def step(
        self,
        fn: Callable[[*Ts], R],
        /,
        *args: *Ts,
        name: str | None = None,
        timeout: Duration = 60,
        retries: int | RetryPolicy = 0,
    ) -> Step[R]: ...
    def step(
        self,
        fn: Callable[[*Ts], Any],
        /,
        *args: *Ts,
        name: str | None = None,
        timeout: Duration = 60,
        retries: int | RetryPolicy = 0,
    ) -> Step[Any]:
        """Run ``fn`` here and record its result. It may run more than once if a crash comes before the record.

        ``args`` must be JSON values or models, as they are recorded. For effects that may not repeat, use a tool.

        Raises (at once):
            BadDeclaration: ``fn`` is not a function.
            NotJson, BadDuration: an argument cannot be recorded; ``timeout`` is no duration.
        Raises (when awaited):
            StepError: ``fn`` raised, or returned what does not fit its annotation.
        """
        function = LocalFunction.known(fn) or LocalFunction.of(fn, scope_of_caller(1))
        called = function.name if name is None else local_name(fn, name)
        limit = check_duration("ctx.step", "timeout", timeout)
        options: dict[str, Any] = {"timeout": limit}
        if retries != 0:
            options["retry"] = retry_policy("ctx.step", retries).model_dump()
        return self._driver.schedule(
            "local",
            called,
            codec.roundtrip(args, what=f"an argument of step {called!r}"),
            options=options,
            key=self._key,
            decode=function.result.decode,
            payload=LocalCall(fn, args, function, limit),
        )

    def sleep(self, duration: Duration) -> Step[None]:
        """Go on after ``duration``: seconds, a timedelta, or text such as ``"2d"``. Costs no memory meanwhile.

        Raises:
            BadDuration: it is no duration.
        """
        return self.schedule(StepKind.SLEEP, "sleep", options=_shared("delay", seconds(duration)), decode=nothing)

    def wait_for(self, signal: SignalType[T], /, *, timeout: Duration | None = None) -> Step[T]:
        """The data of the next signal of this kind to the run; one that came early counts.

        Raises (at once):
            BadDeclaration: ``signal`` is not a ``SignalType``.
        Raises (when awaited):
            TimedOut: nothing came within ``timeout``.
            BadInput: what came does not fit the signal's type.
        """
        given: object = signal
        if not isinstance(given, SignalType):
            fix = 'Declare it: paid = app.signal("paid", Payment), and write ctx.wait_for(paid)'
            raise BadDeclaration(what="ctx.wait_for", reason=f"{given!r} is not a signal type", fix=fix)
        return self._wait(signal.name, None, timeout, signal.decode)

    def approve(self, name: str, subject: Any = None, /, *, timeout: Duration | None = None) -> Step[Approval]:
        """Wait until somebody decides about ``subject``. Pending approvals are listed, and each is decided once.

        Raises (at once):
            BadName, NotJson, BadDuration: name, subject or timeout are not usable.
        Raises (when awaited):
            TimedOut: nobody decided within ``timeout``.
        """
        check_name("approval", name)
        args = {"subject": codec.roundtrip(subject, what="the subject of an approval")}
        return self._wait(signal_name(name, args["subject"]), args, timeout, APPROVAL.decode)

    def emit(self, event_type: str, data: Any = None, /, *, subject: str | None = None) -> Step[None]:
        """Publish an event. It is certain as soon as it is recorded, and its id is the same however often it is sent.

        Raises:
            BadInput: type or subject are not those of an event.
            NotJson: ``data`` has no JSON form.
        """
        attributes = {"type": event_type, "subject": subject, "data": codec.roundtrip(data, what="the event's data")}
        _check_event(attributes)
        args = {name: value for name, value in attributes.items() if value is not None}
        return self.schedule(StepKind.EMIT, event_type, args, decode=nothing)

    def cancel_run(self, reason: str = "cancelled by a handler") -> Step[None]:
        """Cancel the run that this instance handles now; from an ``@agent.on`` handler, the run that it passes by.

        It is recorded as an ``emit`` step with the name ``trunkline.cancel`` and the args ``{"reason": …}``. The agent
        worker does not publish it: it commits, with the step, a ``cancel`` envelope to the instance's own mailbox for
        the run that is current then, with the message id ``cancel:<this run>:<step key>``. Without a current run
        nothing is cancelled.
        """
        return self.schedule(StepKind.EMIT, CANCEL_RUN, {"reason": str(reason)}, decode=nothing)

    def keyed(self, key: str) -> Context[S]:
        """This context, but the one step that is made with what is returned gets ``key`` into its step key.

        Step keys count occurrences by themselves; give a key to a step that must be found again after the code around
        it has changed: ``await ctx.keyed("final").call(refund, …)``.

        Raises:
            BadName: the key is not 1 to 64 letters, digits, "_" or "-".
        """
        return Context(self._driver, self._frame, check_name("step key", key))

    # --- the run and its instance -----------------------------------------------------------------------------------

    @property
    def state(self) -> S:
        """The instance's state as of the run's start. Changes are recorded when the run completes, and only then."""
        return cast("S", self._frame.state)

    @state.setter
    def state(self, value: S) -> None:
        self._frame.state = value

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """The instance's messages, in OpenAI's chat format: those of earlier runs, and those of this one so far."""
        return [fresh(message) for message in (*self._frame.view.conversation, *self._frame.said)]

    def say(self, *messages: dict[str, Any]) -> None:
        """Add messages to the instance's conversation; recorded when the run completes."""
        self._frame.said += tuple(codec.roundtrip(message, what="a message") for message in messages)

    @property
    def event(self) -> CloudEvent | None:
        """The event that woke this run, if one did."""
        return self._frame.event

    @property
    def key(self) -> str:
        """The key of the instance."""
        return self._frame.view.key

    @property
    def agent(self) -> str:
        return self._frame.view.agent

    @property
    def tenant(self) -> str:
        return self._frame.view.tenant

    @property
    def deadline(self) -> datetime | None:
        """When this run is cancelled if it has not ended by then (UTC)."""
        deadline = self._driver.started.deadline
        return None if deadline is None else datetime.fromtimestamp(deadline, UTC)

    # --- what must be the same on every replay ----------------------------------------------------------------------

    def now(self) -> datetime:
        """The time (UTC) of what the handler learned last. It does not move while the handler computes."""
        return datetime.fromtimestamp(self._driver.now, UTC)

    def random(self) -> float:
        """A number from 0 (included) to 1 (excluded), derived from the run's seed."""
        return self._driver.random.random()

    def uuid(self) -> str:
        """A UUID (version 4) as text, derived from the run's seed."""
        return str(self._driver.uuid())

    def _wait(self, name: str, args: Any, timeout: Duration | None, decode: Callable[[Any], T]) -> Step[T]:
        limit = None if timeout is None else seconds(timeout)
        return self.schedule(StepKind.WAIT, name, args, options=_shared("timeout", limit), decode=decode)


@lru_cache(maxsize=256)
def _shared(name: str, value: float | None) -> dict[str, Any]:
    """Options that many steps have in common, and that nobody changes: one for all runs that wait."""
    return {name: value}


def _check_event(attributes: dict[str, Any]) -> None:
    try:
        CloudEvent(source="trunkline", **attributes)
    except (ValidationError, TypeError) as error:
        reason = reason_of(error) if isinstance(error, ValidationError) else str(error)
        raise BadInput(target="ctx.emit", reason=reason) from None
    if attributes["type"].startswith("trunkline."):
        raise BadInput(target="ctx.emit", reason='event types that begin with "trunkline." are reserved')
