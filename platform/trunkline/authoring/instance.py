"""An instance as its handlers see it: who it is, its state, and its conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.authoring.schema import Shape
from trunkline.domain import codec
from trunkline.domain.codec import printable
from trunkline.domain.errors import BadDeclaration, BadOutput
from trunkline.engine.step import fresh

MOST_REASON = 500  # characters


@dataclass(frozen=True, slots=True)
class InstanceView:
    """``state`` (JSON; None if no run has set it) and ``conversation`` are as of the run's start."""

    tenant: str
    agent: str
    key: str
    state: Any = None
    conversation: Sequence[dict[str, Any]] = ()


Upcast = Callable[[dict[str, Any]], dict[str, Any]]

VERSION = "$version"  # stands in a recorded state from version 2 on


class StateType:
    """The type of an agent's state: S of its ``Context[S]``, or a JSON object where it has none.

    A state of an earlier version is brought to this one by ``upcasts`` (by the version that each begins with) whenever
    it is read, and recorded as of this version when a run changes it.
    """

    def __init__(self, annotation: Any, *, target: str, version: int = 1) -> None:
        """``annotation`` is None where no state was declared.

        Raises:
            BadDeclaration: the type has no JSON form, or cannot be made without arguments; or it has versions, and is
                no JSON object.
        """
        self.declared = annotation is not None
        self.annotation = annotation if self.declared else dict[str, Any]
        self.version = version
        self.upcasts: dict[int, Upcast] = {}
        self._shape: Shape[Any] = Shape(self.annotation, target=f"the state of {target}", misfit=BadOutput)
        self._first = self._initial(target)
        if version != 1 and not isinstance(self._first, dict):
            fix = "Make the state a model, or leave state_version= out"
            raise BadDeclaration(what=target, reason="only a state that is a JSON object has versions", fix=fix)

    def schema(self) -> dict[str, Any] | None:
        return self._shape.schema() if self.declared else None

    def check(self, target: str) -> None:
        """See that a state of any earlier version can be brought to this one.

        Raises:
            BadDeclaration: an upcast is missing, or there is one too many.
        """
        for version in sorted(set(range(1, self.version)) ^ set(self.upcasts)):
            reason = f"it is at state_version={self.version}, and there is no upcast from {version}"
            fix = (
                f"Write @….upcast(from_version={version}) above a function that takes the old state and returns the new"
            )
            if version in self.upcasts:
                reason, fix = f"it upcasts from {version} to {version + 1}", f"Declare state_version={version + 1}"
            raise BadDeclaration(what=target, reason=reason, fix=fix)

    def objection(self, recorded: Any) -> str:
        """Why this code cannot read a state, if it cannot."""
        version = version_of(recorded)
        if version > self.version:
            return f"its state is of version {version}, and this code knows versions up to {self.version}"
        if version < self.version and recorded is not None:
            try:
                self.read(recorded)
            except Exception as error:  # noqa: BLE001  (the upcasts are the user's)
                told = f"{type(error).__name__}: {printable(str(error), MOST_REASON)}"
                return f"its state of version {version} cannot be brought to {self.version}: {told}"
        return ""

    def read(self, recorded: Any) -> Any:
        """The state that a run begins with: a value of its own."""
        if recorded is None:
            return self._shape.decode(self._first)
        version = version_of(recorded)
        if isinstance(recorded, dict) and VERSION in recorded:
            recorded = {name: value for name, value in recorded.items() if name != VERSION}
        for step in range(version, self.version):
            recorded = self.upcasts[step](fresh(recorded))
        return self._shape.decode(recorded)

    def record(self, value: Any) -> Any:
        """The JSON of a state.

        Raises:
            BadOutput: it does not fit its type.
            NotJson: it has no JSON form.
        """
        encoded = self._shape.encode(value)
        return encoded if self.version == 1 else {**encoded, VERSION: self.version}

    def changed(self, before: Any, now: Any) -> Any:
        """The JSON of the state ``now``, or None if that is what was recorded ``before``.

        Raises:
            BadOutput: it does not fit its type.
            NotJson: it has no JSON form.
        """
        after = self.record(now)
        if before is None or version_of(before) != self.version:
            before = self.record(self.read(before))
        return None if codec.dumps(after) == codec.dumps(before) else after

    def _initial(self, target: str) -> Any:
        try:
            return self._shape.encode(self.annotation())
        except Exception as error:  # noqa: BLE001  (the constructor is the user's)
            raise BadDeclaration(
                what=target,
                reason=f"a new instance's state {self.annotation!r} cannot be made ({type(error).__name__})",
                fix="Give every field of the state a default",
            ) from None


def version_of(recorded: Any) -> int:
    """The version of a recorded state; one that says nothing is of the first."""
    found = recorded.get(VERSION) if isinstance(recorded, dict) else None
    return found if type(found) is int else 1
