"""Signatures of users' functions with their annotations resolved, also under ``from __future__ import annotations``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import get_type_hints

from trunkline.domain.errors import BadDeclaration

Scope = Mapping[str, Any]
EMPTY = inspect.Parameter.empty
_COLLECTED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def scope_of_caller(depth: int) -> Scope:
    """The names that are local ``depth`` calls up: types that are declared inside a function resolve as well."""
    return sys._getframe(depth + 1).f_locals  # noqa: SLF001


def resolved(fn: Callable[..., Any], scope: Scope | None = None) -> inspect.Signature:
    """The signature of ``fn`` with real types for annotations.

    Raises:
        BadDeclaration: an annotation names something that is not there at run time.
    """
    try:
        hints = get_type_hints(fn, localns=dict(scope) if scope else None, include_extras=True)
    except Exception as error:  # noqa: BLE001  (an annotation may be any expression)
        raise BadDeclaration(
            what=f"{name_of(fn)}()",
            reason=f"an annotation cannot be resolved: {error}",
            fix="Import the type at run time, not only under TYPE_CHECKING, and define it before the function",
        ) from None
    signature = inspect.signature(fn)
    parameters = [p.replace(annotation=hints.get(p.name, EMPTY)) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=hints.get("return", EMPTY))


def annotation_or_any(annotation: Any) -> Any:
    """The annotation; ``Any`` where there is none, or only a type variable."""
    return Any if annotation is EMPTY or isinstance(annotation, TypeVar) else annotation


def check_function(fn: Any, what: str, fix: str) -> None:
    """Refuse what is not a plain function or method.

    Raises:
        BadDeclaration: it is something else, or it yields.
    """
    if not (inspect.isfunction(fn) or inspect.ismethod(fn)):
        raise BadDeclaration(what=what, reason=f"{fn!r} is not a function", fix=fix)
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise BadDeclaration(what=what, reason="it yields", fix="Return the whole result")


def check_parameters(parameters: list[inspect.Parameter], what: str) -> None:
    """Refuse parameters that have no place in an object of named, typed arguments.

    Raises:
        BadDeclaration: ``*args``, ``**kwargs``, or a parameter without an annotation.
    """
    for parameter in parameters:
        if parameter.kind in _COLLECTED:
            raise BadDeclaration(what=what, reason=f"it takes {parameter}", fix="Name every parameter")
        if parameter.annotation is EMPTY:
            fix = f"Write its type: {parameter.name}: str"
            raise BadDeclaration(what=what, reason=f"the parameter {parameter.name!r} has no annotation", fix=fix)


def name_of(fn: Any) -> str:
    """A name for messages."""
    return getattr(fn, "__qualname__", None) or repr(fn)
