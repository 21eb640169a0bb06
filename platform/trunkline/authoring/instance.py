"""An instance as its handlers see it: who it is, its state, and its conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trunkline.authoring.schema import Shape
from trunkline.domain import codec
from trunkline.domain.errors import BadDeclaration, BadOutput


@dataclass(frozen=True, slots=True)
class InstanceView:
    """``state`` (JSON; None if no run has set it) and ``conversation`` are as of the run's start."""

    tenant: str
    agent: str
    key: str
    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)


class StateType:
    """The type of an agent's state: S of its ``Context[S]``, or a JSON object where it has none."""

    def __init__(self, annotation: Any, *, target: str) -> None:
        """``annotation`` is None where no state was declared.

        Raises:
            BadDeclaration: the type has no JSON form, or cannot be made without arguments.
        """
        self.declared = annotation is not None
        self.annotation = annotation if self.declared else dict[str, Any]
        self._shape: Shape[Any] = Shape(self.annotation, target=f"the state of {target}", misfit=BadOutput)
        self._first = self._initial(target)

    def schema(self) -> dict[str, Any] | None:
        return self._shape.schema() if self.declared else None

    def read(self, recorded: Any) -> Any:
        """The state that a run begins with: a value of its own."""
        return self._shape.decode(self._first if recorded is None else recorded)

    def record(self, value: Any) -> Any:
        """The JSON of a state.

        Raises:
            BadOutput: it does not fit its type.
            NotJson: it has no JSON form.
        """
        return self._shape.encode(value)

    def changed(self, before: Any, now: Any) -> Any:
        """The JSON of the state ``now``, or None if that is what was recorded ``before``.

        Raises:
            BadOutput: it does not fit its type.
            NotJson: it has no JSON form.
        """
        after = self.record(now)
        unchanged = codec.dumps(after) == codec.dumps(self._first if before is None else before)
        return None if unchanged else after

    def _initial(self, target: str) -> Any:
        try:
            return self._shape.encode(self.annotation())
        except Exception as error:  # noqa: BLE001  (the constructor is the user's)
            raise BadDeclaration(
                what=target,
                reason=f"a new instance's state {self.annotation!r} cannot be made ({type(error).__name__})",
                fix="Give every field of the state a default",
            ) from None
