"""Reading a ledger of effects: one JSON line an execution that began."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from trunkline.cli.failures import NotUnderstood
from trunkline.domain import codec
from trunkline.domain.effects import Begun
from trunkline.domain.errors import BadJson


def read_ledger(path: Path) -> list[Begun]:
    """The executions of ``path``.

    Raises:
        NotUnderstood: a line of it is none.
    """
    begun = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            begun.append(Begun.model_validate(codec.loads(line)))
        except (BadJson, ValidationError) as error:
            raise NotUnderstood(what=f"{path}, line {number}", reason=str(error).splitlines()[0]) from None
    return begun
