"""What a tool may know about the step that it carries out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trunkline.domain import codec
from trunkline.domain.ids import new_id


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The first parameter of a tool, if it is annotated so. ``attempt`` counts from 1.

    ``idempotency_key`` is the same for every attempt of the step: pass it on to whoever must not do the thing twice.
    """

    idempotency_key: str
    attempt: int = 1
    tool: str = ""
    run_id: str = ""
    step: str = ""
    tenant: str = ""
    agent: str = ""
    on_progress: Callable[[str, Any], None] | None = field(default=None, repr=False)

    def progress(self, text: str = "", data: Any = None) -> None:
        """Show those who watch the run how far the tool is. It is a live hint: it is not journalled, and may be lost.

        Safe to call from a thread.

        Raises:
            NotJson: ``data`` has no JSON form.
        """
        plain = codec.roundtrip(data, what="the progress data")
        if self.on_progress is not None:
            self.on_progress(str(text), plain)

    @classmethod
    def local(cls, tool: str) -> ToolContext:
        """The context of a tool that is called as a plain function: a fresh idempotency key, and nobody watching."""
        return cls(idempotency_key=new_id(), tool=tool)
