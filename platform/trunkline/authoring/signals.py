"""Signals: named, typed messages to a run; and the one that answers an approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from trunkline.authoring.schema import Shape
from trunkline.domain.ids import check_name

T = TypeVar("T")


class SignalType(Generic[T]):
    """A kind of signal: its name, and the type of what it carries."""

    def __init__(self, name: str, type_: type[T]) -> None:
        """``type_`` is what ``ctx.wait_for`` returns.

        Raises:
            BadName: the name is no subject token.
            BadDeclaration: the type has no JSON form.
        """
        self.name = check_name("signal", name)
        self._shape: Shape[T] = Shape(type_, target=f"signal {name!r}")

    @property
    def decode(self) -> Callable[[Any], T]:
        """What makes the Python value of a signal's JSON; it raises ``BadInput`` where that does not fit the type."""
        return self._shape.decode

    def schema(self) -> dict[str, Any]:
        return self._shape.schema()

    def __repr__(self) -> str:
        return f"<SignalType {self.name}>"


class Approval(BaseModel):
    """How somebody decided."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    approved: bool
    by: str | None = None
    comment: str | None = None


APPROVAL: Shape[Approval] = Shape(Approval, target="the answer to an approval")
