"""Tools: functions that tool workers carry out, and that stay callable as plain functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

from trunkline.authoring.docs import described
from trunkline.authoring.in_thread import in_thread
from trunkline.authoring.names import checked
from trunkline.authoring.probing import Happened, Probe
from trunkline.authoring.schema import Arguments, Shape
from trunkline.authoring.signatures import Scope, annotation_or_any, check_function, check_parameters, resolved
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain.errors import BadDeclaration, BadInput, BadOutput, NotDurable
from trunkline.domain.ids import check_name
from trunkline.domain.specs import ToolSpec
from trunkline.engine.solitude import in_handler

P = ParamSpec("P")
R = TypeVar("R")

_HOW = "Write: @app.tool above async def name(tc: ToolContext, argument: str) -> str"


class Tool(Generic[P, R]):
    """A declared tool. ``spec`` is what is published of it, ``options`` what the journal keeps with each of its steps;
    handlers use it with ``ctx.call(tool, …)``.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        app: str,
        name: str | None,
        scope: Scope,
        policy: Mapping[str, Any],
        probe: Callable[..., Any] | None = None,
        process: bool = False,
    ) -> None:
        """``policy`` are the fields of ``ToolSpec`` that say how it is carried out. With ``process`` tool workers run
        it in a process of its own, where ``place`` (module, name in it) finds it again.

        Raises:
            BadName: the name cannot stand in a subject.
            BadDeclaration: the function cannot be a tool; the message says what to write instead.
        """
        check_function(fn, "a tool", _HOW)
        self.name = check_name("tool", name or fn.__name__)
        self._fn = fn
        self._target = f"tool {self.name!r}"
        self.process = process
        self.place = (fn.__module__, fn.__qualname__)
        if process:
            _check_process(fn, self._target)
        signature = resolved(fn, scope)
        parameters = list(signature.parameters.values())
        self.takes_context = bool(parameters) and parameters[0].annotation is ToolContext
        parameters = parameters[1:] if self.takes_context else parameters
        _check_context_place(parameters, self._target)
        check_parameters(parameters, self._target)
        description, meanings = described(fn)
        self._arguments = Arguments(parameters, meanings, self._target)
        self._result: Shape[R] = Shape(
            annotation_or_any(signature.return_annotation), target=self._target, misfit=BadOutput
        )
        self.spec = checked(
            self._target,
            ToolSpec,
            name=self.name,
            app=app,
            description=description,
            input_schema=self._arguments.schema(),
            output_schema=self._result.schema(),
            probe=probe is not None,
            **policy,
        )
        self.options = _options(self.spec)
        names = [parameter.name for parameter in parameters]
        self._probe = None if probe is None else Probe(probe, tool=self._target, parameters=names, scope=scope)
        update_wrapper(cast("Any", self), fn)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self._fn)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What a caller passed, as the JSON object that is journalled and sent.

        Raises:
            BadInput: it does not fit the signature.
            NotJson: an argument has no JSON form.
        """
        return self._arguments.bind(args, kwargs)

    def validate(self, arguments: Any) -> dict[str, Any]:
        """The Python values, by parameter name, of a JSON object of arguments.

        Raises:
            BadInput: it does not fit the signature.
        """
        return self._arguments.check(arguments)

    def normal(self, arguments: Any) -> dict[str, Any]:
        """A JSON object of arguments, from a model, as ``bind`` would have written it.

        Raises:
            BadInput: it does not fit the signature.
        """
        return self._arguments.normal(arguments)

    def encode(self, result: Any) -> Any:
        """A result as JSON.

        Raises:
            BadOutput: it does not fit the return annotation.
            NotJson: it has no JSON form.
        """
        return self._result.encode(result)

    def decode(self, value: Any) -> R:
        """The result that a handler gets for the JSON that was journalled."""
        return self._result.decode(value)

    async def invoke(self, tc: ToolContext, arguments: Any, executor: Executor | None = None) -> Any:
        """Carry out one call: JSON arguments to a JSON result. A synchronous function runs in a thread of ``executor``.

        Raises:
            BadInput, BadOutput, NotJson: arguments or result do not fit.
            Exception: whatever the function raises.
        """
        call = self._call(tc, arguments)
        if self.is_async:
            return self.encode(await call())
        return self.encode(await in_thread(call, self._target, executor))

    def invoke_here(self, tc: ToolContext, arguments: Any) -> Any:
        """The same for a synchronous function, in the thread of the caller."""
        return self.encode(self._call(tc, arguments)())

    def _call(self, tc: ToolContext, arguments: Any) -> Callable[[], Any]:
        positional, keywords = self._arguments.spread(self.validate(arguments))
        leading = (tc,) if self.takes_context else ()
        return partial(self._fn, *leading, *positional, **keywords)

    async def find_out(self, tc: ToolContext, arguments: Any, executor: Executor | None = None) -> tuple[bool, Any]:
        """Ask the tool's probe what became of a call: whether it took effect, and its JSON result if it did.

        Raises:
            BadInput, BadOutput, NotJson: arguments or result do not fit.
            Exception: whatever the probe raises: then it is still not known.
        """
        if self._probe is None:
            raise BadInput(target=self._target, reason="it has no probe")
        found = await self._probe(tc, *self._arguments.spread(self.validate(arguments)), executor)
        return (True, self.encode(found.result)) if isinstance(found, Happened) else (False, None)

    def _plain(self, *args: Any, **kwargs: Any) -> Any:
        """Raises ``NotDurable`` when a handler calls it: nothing would be recorded."""
        if in_handler():
            raise NotDurable(agent="this agent", what=f"tool {self.name!r} as a plain function")
        leading = (ToolContext.local(self.name),) if self.takes_context else ()
        return self._fn(*leading, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name} of app {self.spec.app}>"


class AsyncTool(Tool[P, R]):
    """A tool made from an ``async def``."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the plain function, here and now. In a handler, where it would not be recorded, write ``ctx.call``.

        Raises:
            NotDurable: a handler called it.
        """
        result: Coroutine[Any, Any, R] = self._plain(*args, **kwargs)
        return result


class SyncTool(Tool[P, R]):
    """A tool made from a ``def``; tool workers run it in a thread."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function, here and now. In a handler, where it would not be recorded, write ``ctx.call``.

        Raises:
            NotDurable: a handler called it.
        """
        result: R = self._plain(*args, **kwargs)
        return result


def make_tool(fn: Callable[..., Any], **declaration: Any) -> Tool[Any, Any]:
    """The tool of a function, asynchronous or not."""
    kind = AsyncTool if inspect.iscoroutinefunction(fn) else SyncTool
    return kind(fn, **declaration)


def check_repeats(what: str, *, unsafe: bool, retries: int, probe: bool) -> None:
    """Retries are for what may be repeated, a probe for what may not.

    Raises:
        BadDeclaration: it is the other way round.
    """
    if unsafe and retries:
        fix = 'Leave retries= out, or make it safe to repeat and declare effect="idempotent"'
        raise BadDeclaration(what=what, reason="an unsafe tool is never repeated, and has retries=", fix=fix)
    if probe and not unsafe:
        fix = 'Leave probe= out: what is safe to repeat is simply repeated; or declare effect="unsafe"'
        raise BadDeclaration(what=what, reason="it has probe=, and is not unsafe", fix=fix)


def _check_process(fn: Callable[..., Any], what: str) -> None:
    """Another process imports the module, and finds the function by its name."""
    if inspect.iscoroutinefunction(fn):
        fix = "Write def: a process of its own is for functions that compute; or leave process= out"
        raise BadDeclaration(what=what, reason="it is async, and has process=True", fix=fix)
    if "<" in fn.__qualname__:
        fix = "Move it to the top of its module, or leave process= out"
        reason = "it has process=True, and another process cannot find it: it is made inside a function"
        raise BadDeclaration(what=what, reason=reason, fix=fix)


def _check_context_place(parameters: list[inspect.Parameter], what: str) -> None:
    for parameter in parameters:
        if parameter.annotation is ToolContext:
            raise BadDeclaration(what=what, reason="ToolContext is not its first parameter", fix=_HOW)
        if parameter.name == "tc" and parameter.annotation is inspect.Parameter.empty:
            raise BadDeclaration(what=what, reason="tc has no annotation", fix="Write tc: ToolContext")


def _options(spec: ToolSpec) -> dict[str, Any]:
    options: dict[str, Any] = {
        "app": spec.app,
        "effect": str(spec.effect),
        "timeout": spec.timeout,
        "retry": spec.retry.model_dump(),
    }
    return options | {"probe": True} if spec.probe else options
