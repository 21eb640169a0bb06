"""What a model's text must be: any text, or JSON that fits the agent's output type."""

from __future__ import annotations

import re
from typing import Any

from trunkline.authoring.schema import Shape, as_object
from trunkline.domain import codec
from trunkline.domain.errors import BadJson, BadOutput, TrunklineError

_FENCED = re.compile(r"\s*```[A-Za-z]*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_NOT_NAME = re.compile(r"[^A-Za-z0-9_-]+")

VALUE = "value"


class Unacceptable(TrunklineError):
    """{reason}"""


class AnswerType:
    """``format`` is what the provider is told: None for plain text, else ``{"name", "schema"}``."""

    def __init__(self, output: Any, *, target: str) -> None:
        """Raises ``BadDeclaration`` for a type that has no JSON form."""
        self.shape: Shape[Any] = Shape(output, target=target, misfit=BadOutput)
        self.format: dict[str, Any] | None = None
        self._wrapped = False
        if output is not str:
            schema, self._wrapped = as_object(Shape(output, target=target).schema(), VALUE)
            name = _NOT_NAME.sub("_", getattr(output, "__name__", "") or "answer")[:64]
            self.format = {"name": name, "schema": schema}

    def read(self, text: str) -> Any:
        """The value that the model's text means.

        Raises:
            Unacceptable: it is empty, no JSON, or does not fit; the reason is written for the model.
        """
        if not text.strip():
            raise Unacceptable(reason="The answer is empty.")
        if self.format is None:
            return text
        fenced = _FENCED.match(text)
        try:
            value = codec.loads(fenced[1] if fenced else text, what="The answer")
            return self.shape.decode(self._unwrap(value))
        except BadJson as error:
            raise Unacceptable(reason=str(error)) from None
        except BadOutput as error:
            raise Unacceptable(reason=f"The answer does not fit the schema: {error.fields['reason']}") from None

    def _unwrap(self, value: Any) -> Any:
        return value[VALUE] if self._wrapped and isinstance(value, dict) and set(value) == {VALUE} else value
