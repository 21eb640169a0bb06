"""Types at the border: Python values become JSON, JSON becomes Python values, and both are checked against annotations.

Only plain JSON is journalled and sent. What a handler gets is always decoded from it, so that a live run and a replay
see equal values, and neither can change what was recorded.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, NotRequired, TypeVar

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from trunkline.domain import codec
from trunkline.domain.errors import BadDeclaration, BadInput, BadJson, BadOutput, NotJson, TrunklineError

T = TypeVar("T")

_PLAIN = (int, str, bool)
_FIX = "Use pydantic models, dataclasses, TypedDicts, or plain JSON types"


class Shape(Generic[T]):
    """One annotated place, e.g. "agent 'orders'", and the two ways across it."""

    def __init__(self, annotation: Any, *, target: str, misfit: type[TrunklineError] = BadInput) -> None:
        """``misfit`` is the error that a wrong value raises.

        Raises:
            BadDeclaration: the annotation has no JSON form.
        """
        self.annotation = annotation
        self.target = target
        self._misfit = misfit
        self._adapter: TypeAdapter[T] = _adapter(annotation, target)
        self._plain = annotation if annotation in _PLAIN else None  # nothing to be checked but the type
        self.decode = self._decode
        """The Python value of a JSON value; raises ``BadInput`` or ``BadOutput`` where it does not fit the annotation.

        Each step that waits holds it: so it is one object, and not a method bound anew for each of them.
        """

    def schema(self) -> dict[str, Any]:
        """The JSON schema; empty for ``Any``.

        Raises:
            BadDeclaration: the type cannot be described as JSON.
        """
        mode = "serialization" if self._misfit is BadOutput else "validation"
        return _schema(self._adapter, mode, self.annotation, self.target)

    def encode(self, value: Any) -> Any:
        """``value``, checked, as JSON of its own (nothing is shared with ``value``).

        Raises:
            BadInput, BadOutput: it does not fit the annotation.
            NotJson: it holds something that has no JSON form.
        """
        if _fits(value, self._plain):
            return value
        try:
            checked = self._adapter.validate_python(value)
        except ValidationError as error:
            raise self._misfit(target=self.target, reason=reason_of(error)) from None
        return _json(self._adapter, checked, self.target)

    def _decode(self, value: Any) -> T:
        if type(value) is self._plain:
            same: T = value
            return same
        try:
            return self._adapter.validate_json(codec.dumps(value, what=self.target))
        except ValidationError as error:
            raise self._misfit(target=self.target, reason=reason_of(error)) from None


class Arguments:
    """The arguments of a function as one JSON object: bound to its signature, checked one by one."""

    def __init__(self, parameters: Sequence[inspect.Parameter], descriptions: Mapping[str, str], target: str) -> None:
        """``parameters`` have resolved annotations; ``descriptions`` is by name.

        Raises:
            BadDeclaration: an annotation has no JSON form.
        """
        self._signature = inspect.Signature(list(parameters))
        self._target = target
        self._names = {parameter.name for parameter in parameters}
        positional_only = inspect.Parameter.POSITIONAL_ONLY
        self._leading = [parameter.name for parameter in parameters if parameter.kind is positional_only]
        self._notes = {parameter.name: _notes(parameter, descriptions) for parameter in parameters}
        fields = {parameter.name: _field(parameter) for parameter in parameters}
        self._plain = _plain(parameters)
        make: Any = TypedDict  # (the static form knows literal fields only)
        shape = make("arguments", fields)
        shape.__pydantic_config__ = ConfigDict(extra="forbid", title="Arguments")
        self._adapter: TypeAdapter[dict[str, Any]] = _adapter(shape, target)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments object, as a model is shown it."""
        schema = _schema(self._adapter, "validation", "its parameters", self._target)
        schema.pop("title", None)
        for name, property_ in schema["properties"].items():
            for word, value in self._notes[name].items():
                property_.setdefault(word, value)
        return schema

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What was passed, as a JSON object by parameter name.

        Raises:
            BadInput: the arguments do not fit the signature.
            NotJson: one of them has no JSON form.
        """
        if self._plain is not None and not kwargs:
            passed = dict(zip(self._plain, args, strict=False))
            if len(args) == len(passed) and _fit(passed, self._plain):
                return passed
        try:
            bound = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise BadInput(target=self._target, reason=f"{error}; it takes {self._signature}") from None
        try:
            checked = self._adapter.validate_python(bound)
        except ValidationError as error:
            raise BadInput(target=self._target, reason=reason_of(error)) from None
        arguments: dict[str, Any] = _json(self._adapter, checked, f"an argument of {self._target}")
        return arguments

    def check(self, arguments: Any) -> dict[str, Any]:
        """The Python values of a JSON object of arguments.

        Raises:
            BadInput: it is no object, or does not fit; the reason names each wrong argument.
        """
        if not isinstance(arguments, Mapping):
            raise BadInput(target=self._target, reason="the arguments are not a JSON object")
        if self._plain is not None and _fit(arguments, self._plain):
            return dict(arguments)
        try:
            return self._adapter.validate_json(codec.dumps(arguments, what=self._target))
        except ValidationError as error:
            raise BadInput(target=self._target, reason=reason_of(error)) from None

    def normal(self, arguments: Any) -> dict[str, Any]:
        """A JSON object of arguments as ``bind`` would have written it.

        Raises:
            BadInput: it is no object, or does not fit.
        """
        normal: dict[str, Any] = _json(self._adapter, self.check(arguments), f"an argument of {self._target}")
        return normal

    def spread(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Checked values as the positional and keyword arguments of the call."""
        rest = {name: value for name, value in values.items() if name not in self._leading}
        return [values[name] for name in self._leading if name in values], rest


def reason_of(error: ValidationError, limit: int = 5) -> str:
    """The first few things that are wrong, each with its place. What was sent is not repeated: it may be a secret."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}" for problem in problems[:limit]]
    more = len(problems) - limit
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def as_object(schema: Mapping[str, Any], field: str) -> tuple[dict[str, Any], bool]:
    """``schema`` if it describes an object, else an object that holds it as its one ``field``; and whether it does.

    Models take objects only, as the parameters of a tool and as the format of an answer.
    """
    if schema.get("type") == "object":
        return dict(schema), False
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    outer: dict[str, Any] = {"type": "object", "properties": {field: inner}, "required": [field]}
    if "$defs" in schema:
        outer["$defs"] = schema["$defs"]
    return outer, True


def _plain(parameters: Sequence[inspect.Parameter]) -> dict[str, type] | None:
    """The types by name, if all may be passed by position and are plain: nothing is to be checked but that."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    plain = all(parameter.kind in named and parameter.annotation in _PLAIN for parameter in parameters)
    return {parameter.name: parameter.annotation for parameter in parameters} if plain else None


def _fit(values: Mapping[str, Any], kinds: Mapping[str, type]) -> bool:
    """Whether there is one plain value of each of these kinds."""
    return values.keys() == kinds.keys() and all(_fits(value, kinds[name]) for name, value in values.items())


def _fits(value: Any, kind: type | None) -> bool:
    return type(value) is kind and codec.is_plain(value)


def _field(parameter: inspect.Parameter) -> Any:
    annotation: Any = parameter.annotation
    return annotation if parameter.default is inspect.Parameter.empty else NotRequired[annotation]


def _notes(parameter: inspect.Parameter, descriptions: Mapping[str, str]) -> dict[str, Any]:
    """What the schema says of a parameter besides its type, if the annotation does not say it itself."""
    notes: dict[str, Any] = {}
    if parameter.name in descriptions:
        notes["description"] = descriptions[parameter.name]
    if parameter.default is not inspect.Parameter.empty:
        with suppress(NotJson):
            notes["default"] = codec.roundtrip(parameter.default)
    return notes


def _json(adapter: TypeAdapter[Any], checked: Any, what: str) -> Any:
    """A checked value as JSON of its own."""
    try:
        text = adapter.dump_json(checked, by_alias=True, warnings="error")
    except (PydanticSerializationError, UnicodeError, ValueError, RecursionError) as error:
        raise NotJson(what=what, reason=" ".join(str(error).split())[:300]) from None
    if b"null" in text:
        codec.check_finite(checked, what=what)
    try:
        return codec.loads(text, what=what, limit=codec.MOST_BYTES)
    except BadJson as error:
        raise NotJson(what=what, reason=error.fields["reason"]) from None


def _adapter(annotation: Any, target: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except (PydanticUserError, TypeError, NameError) as error:
        raise _undescribed(annotation, target, error) from None


def _schema(adapter: TypeAdapter[Any], mode: Any, annotation: Any, target: str) -> dict[str, Any]:
    try:
        return adapter.json_schema(mode=mode)
    except PydanticUserError as error:
        raise _undescribed(annotation, target, error) from None


def _undescribed(annotation: Any, target: str, error: Exception) -> BadDeclaration:
    first = str(error).partition("\n")[0]
    return BadDeclaration(what=target, reason=f"{annotation!r} has no JSON form ({first})", fix=_FIX)
