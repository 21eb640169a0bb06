"""``ctx.step``: a function that the agent worker itself runs, and whose result is recorded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from trunkline.authoring.in_thread import in_thread
from trunkline.authoring.schema import Shape
from trunkline.authoring.signatures import Scope, annotation_or_any, resolved
from trunkline.authoring.time_limit import limited
from trunkline.domain.errors import BadDeclaration, BadOutput

_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_known: WeakKeyDictionary[Any, LocalFunction] = WeakKeyDictionary()


@dataclass(slots=True)
class LocalFunction:
    """What is known of a function that runs as a step: its ``name``, what it returns, and whether it is ``async``."""

    name: str
    result: Shape[Any]
    asynchronous: bool

    @classmethod
    def of(cls, fn: Any, scope: Scope) -> LocalFunction:
        """``fn``, looked at closely; ``scope`` is where its annotations are resolved.

        Raises:
            BadDeclaration: it is no function; or the annotation of its result cannot be resolved, or has no JSON form.
        """
        name = local_name(fn)
        lasting = inspect.isfunction(fn) or inspect.ismethod(fn)
        annotation = annotation_or_any(resolved(fn, scope).return_annotation) if lasting else Any
        result: Shape[Any] = Shape(annotation, target=f"step {name!r}", misfit=BadOutput)
        function = cls(name, result, inspect.iscoroutinefunction(fn))
        if lasting:
            _known[getattr(fn, "__func__", fn)] = function
        return function

    @staticmethod
    def known(fn: Any) -> LocalFunction | None:
        """What ``of`` found out about ``fn`` before."""
        return _known.get(getattr(fn, "__func__", fn)) if inspect.isfunction(fn) or inspect.ismethod(fn) else None


@dataclass(slots=True)
class LocalCall:
    """The payload of a local step. ``timeout`` is in seconds."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    function: LocalFunction
    timeout: float

    async def run(self) -> Any:
        """Call the function, a synchronous one in a thread, and return its result as JSON.

        Raises:
            TimeoutError: it took too long.
            BadOutput, NotJson: the result does not fit the function's annotation, or has no JSON form.
            Exception: whatever the function raises.
        """
        try:
            call = self.fn(*self.args) if self.function.asynchronous else self._in_thread()
            return self.function.result.encode(await limited(call, self.timeout))
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"it took longer than {self.timeout:g} s") from None

    async def _in_thread(self) -> Any:
        value = await in_thread(partial(self.fn, *self.args), f"step {self.function.name!r}")
        return await value if inspect.isawaitable(value) else value


def local_name(fn: Any, name: str | None = None) -> str:
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
