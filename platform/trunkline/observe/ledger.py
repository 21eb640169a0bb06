"""Reading a ledger of effects: one JSON line an execution that began."""

from __future__ import annotations

from pathlib import Path

from trunkline.domain.effects import Begun
from trunkline.domain.errors import NotAMessage, NotUnderstood


def read_ledger(path: Path) -> list[Begun]:
    """The executions of ``path``.

    Raises:
        NotUnderstood: a line of it is none.
    """
    return begun_in(path.read_bytes(), str(path))


def begun_in(lines: bytes, what: str) -> list[Begun]:
    """The executions in a ledger's ``lines``; ``what`` names it in the error.

    Raises:
        NotUnderstood: a line is none.
    """
    return [_begun(line, f"{what}, line {number}") for number, line in enumerate(lines.splitlines(), 1)]


def _begun(line: bytes, what: str) -> Begun:
    try:
        return Begun.read(line)
    except NotAMessage as error:
        raise NotUnderstood(what=what, reason=str(error).splitlines()[0]) from None
