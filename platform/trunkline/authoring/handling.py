"""One run's handler as a driver drives it: from the recorded input to the result's JSON, or to its next beginning."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, NoReturn

from trunkline.authoring.instance import InstanceView, StateType
from trunkline.authoring.renewing import ContinueAsNew
from trunkline.domain.events import CloudEvent
from trunkline.engine.replay import Continuation, RunResult

if TYPE_CHECKING:
    from trunkline.authoring.handlers import Handler

_UNREAD: Any = object()

Begin = Callable[[], "tuple[Frame, Coroutine[Any, Any, Any]]"]


class Frame:
    """What all views of one run's context share. ``said`` are the messages that the run adds to the conversation.

    The state is read when it is first asked for: most runs never do, and then it cannot have changed.
    """

    __slots__ = ("_state", "_states", "event", "handler", "said", "view")

    def __init__(self, view: InstanceView, states: StateType, event: CloudEvent | None, handler: Handler) -> None:
        self.view = view
        self.handler = handler
        self.event = event
        self.said: tuple[dict[str, Any], ...] = ()
        self._states = states
        self._state = _UNREAD

    @property
    def state(self) -> Any:
        if self._state is _UNREAD:
            self._state = self._states.read(self.view.state)
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._state = value

    def result(self, value: Any) -> RunResult:
        """The handler returned ``value``.

        Raises:
            BadOutput, NotJson: it or the state does not fit its type, or has no JSON form.
        """
        return RunResult(self.handler.output.encode(value), self._changed_state(), self.said)

    def continuation(self, anew: ContinueAsNew) -> Continuation:
        """The handler is to be begun anew.

        Raises:
            BadOutput, NotJson: as ``result``.
        """
        return Continuation(anew.input, self._changed_state(), self.said)

    def _changed_state(self) -> Any:
        return None if self._state is _UNREAD else self._states.changed(self.view.state, self._state)


class Handling(Coroutine[Any, Any, RunResult | Continuation]):
    """A coroutine around the handler's own, written out: it is there as long as the run waits, and the frame of an
    ``async def`` would be five times as large. ``begin`` is called at the first ``send``.
    """

    __slots__ = ("_begin", "_coroutine", "_frame")

    _frame: Frame
    _coroutine: Coroutine[Any, Any, Any]

    def __init__(self, begin: Begin) -> None:
        self._begin: Begin | None = begin

    def send(self, value: Any, /) -> Any:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            self._frame, self._coroutine = _without_end(begin)
        try:
            return self._coroutine.send(value)
        except (StopIteration, ContinueAsNew) as end:
            self._end(end)

    def throw(self, error: Any, /, *more: Any) -> Any:
        if self._begin is not None:
            raise error
        try:
            return self._coroutine.throw(error, *more)
        except (StopIteration, ContinueAsNew) as end:
            self._end(end)
        finally:
            del error, more  # what is raised holds this frame: it would keep itself, and all of the run, in memory

    def close(self) -> None:
        if self._begin is None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, RunResult | Continuation]:
        return self  # type: ignore[return-value]

    def __next__(self) -> Any:
        return self.send(None)

    def _end(self, end: StopIteration | ContinueAsNew) -> NoReturn:
        if isinstance(end, ContinueAsNew):
            raise StopIteration(_without_end(self._frame.continuation, end))
        raise StopIteration(_without_end(self._frame.result, end.value))


def _without_end(call: Callable[..., Any], *given: Any) -> Any:
    """As in a coroutine, a ``StopIteration`` that comes out of somebody's code must not be taken for a result."""
    try:
        return call(*given)
    except StopIteration as error:
        raise RuntimeError("StopIteration was raised where values are checked") from error
