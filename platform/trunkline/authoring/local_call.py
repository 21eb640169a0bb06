"""``ctx.step``: a function that the agent worker itself runs, and whose result is recorded."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from trunkline.authoring.schema import Shape
from trunkline.authoring.signatures import Scope, annotation_or_any, resolved
from trunkline.authoring.time_limit import limited
from trunkline.domain.errors import BadDeclaration, BadOutput

_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_results: WeakKeyDictionary[Any, Shape[Any]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class LocalCall:
    """The payload of a local step. ``timeout`` is in seconds."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    result: Shape[Any]
    timeout: float

    async def run(self) -> Any:
        """Call the function, a synchronous one in a thread, and return its result as JSON.

        Raises:
            TimeoutError: it took too long.
            BadOutput, NotJson: the result does not fit the function's annotation, or has no JSON form.
            Exception: whatever the function raises.
        """
        try:
            return self.result.encode(await limited(self._call(), self.timeout))
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"it took longer than {self.timeout:g} s") from None

    async def _call(self) -> Any:
        if inspect.iscoroutinefunction(self.fn):
            return await self.fn(*self.args)
        call = partial(copy_context().run, self.fn, *self.args)
        value = await asyncio.get_running_loop().run_in_executor(None, call)
        return await value if inspect.isawaitable(value) else value


def local_name(fn: Any, name: str | None) -> str:
    """The step's name: the given one, or the function's.

    Raises:
        BadDeclaration: ``fn`` is no function.
    """
    if not callable(fn):
        what = "a coroutine" if inspect.iscoroutine(fn) else f"{fn!r}"
        raise BadDeclaration(
            what="ctx.step", reason=f"{what} is not a function", fix="Write: await ctx.step(fn, argument)"
        )
    return _NOT_NAME.sub("", name or str(getattr(fn, "__name__", ""))) or "step"


def known_result(fn: Any) -> Shape[Any] | None:
    """What ``result_of`` found out about ``fn`` before."""
    return _results.get(getattr(fn, "__func__", fn)) if inspect.isfunction(fn) or inspect.ismethod(fn) else None


def result_of(fn: Any, name: str, scope: Scope) -> Shape[Any]:
    """What ``fn`` is annotated to return; ``Any`` where it says nothing.

    Raises:
        BadDeclaration: the annotation cannot be resolved, or has no JSON form.
    """
    if not (inspect.isfunction(fn) or inspect.ismethod(fn)):
        return Shape(Any, target=f"step {name!r}", misfit=BadOutput)
    annotation = annotation_or_any(resolved(fn, scope).return_annotation)
    shape = _results[getattr(fn, "__func__", fn)] = Shape(annotation, target=f"step {name!r}", misfit=BadOutput)
    return shape
