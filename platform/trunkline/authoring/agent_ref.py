"""What those who ask an agent need to know of it."""

from __future__ import annotations

from typing import Generic, TypeVar

from trunkline.authoring.schema import Shape

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class AgentRef(Generic[I, O]):
    """An agent's name, the type that it takes, and the type that it returns."""

    def __init__(self, name: str, description: str, input: Shape[I], output: Shape[O]) -> None:  # noqa: A002
        self.name = name
        self.description = description
        self.input = input
        self.output = output

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
