"""Handlers: users' ``async def name(ctx: Context, input: Type) -> Type``, read once when they are declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from trunkline.authoring.context import Context
from trunkline.authoring.schema import Shape
from trunkline.authoring.signatures import EMPTY, Scope, annotation_or_any, check_function, resolved
from trunkline.domain.errors import BadDeclaration, BadOutput
from trunkline.domain.events import CloudEvent

Body = Callable[[Context[Any], Any], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Handler:
    """``state`` is S of ``Context[S]``, or None where the context is annotated without it."""

    fn: Body
    input: Shape[Any]
    output: Shape[Any]
    state: Any = None
    event_type: str = ""
    key: str = ""

    @property
    def wants_event(self) -> bool:
        """Whether it takes the whole event, and not only its data."""
        annotation = self.input.annotation
        return isinstance(annotation, type) and issubclass(annotation, CloudEvent)


def read_handler(fn: Any, *, target: str, scope: Scope, event_type: str = "", key: str = "") -> Handler:
    """The handler that ``fn`` is.

    Raises:
        BadDeclaration: it cannot be one; the message says what to write instead.
    """
    how = f"Write: async def {getattr(fn, '__name__', 'name')}(ctx: Context, input: InputType) -> OutputType"
    check_function(fn, target, how)
    if not inspect.iscoroutinefunction(fn):
        raise BadDeclaration(what=target, reason="its function is not async", fix=how)
    signature = resolved(fn, scope)
    parameters = list(signature.parameters.values())
    if not parameters or not _is_context(parameters[0]):
        raise BadDeclaration(what=target, reason="the first parameter of its function is not ctx", fix=how)
    if len(parameters) != 2 or parameters[1].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise BadDeclaration(what=target, reason="its function does not take ctx and one input", fix=how)
    return Handler(
        fn=fn,
        input=Shape(annotation_or_any(parameters[1].annotation), target=target),
        output=Shape(annotation_or_any(signature.return_annotation), target=target, misfit=BadOutput),
        state=next(iter(get_args(parameters[0].annotation)), None),
        event_type=event_type,
        key=key,
    )


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is EMPTY:
        return parameter.name == "ctx"
    return (get_origin(annotation) or annotation) is Context
