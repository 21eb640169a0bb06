"""Arguments and options that several commands share, and what text on a command line means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trunkline.domain.errors import NotUnderstood

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")]
Cursor = Annotated[str, typer.Option(help="Where the last page ended.")]
Repeat = Annotated[
    str, typer.Option("--idempotency-key", help="Repeating the command with the same key does nothing twice.")
]


def json_value(text: str, what: str) -> Any:
    """JSON from an argument; ``@file`` and ``-`` (standard input) read it from there. Text that does not look like JSON
    is taken as a string, so that ``trunkline run triage "My order is late"`` works.

    Raises:
        BadJson: it looks like JSON, and is none.
        NotUnderstood: the file cannot be read.
    """
    return json_in(read(text), what)


def json_in(whole: str, what: str) -> Any:
    """The same for text that has been read.

    Raises:
        BadJson: as ``json_value``.
    """
    from trunkline.domain.codec import loads
    from trunkline.domain.errors import BadJson

    try:
        return loads(whole, what=what)
    except BadJson:
        if whole.lstrip()[:1] in ("{", "[", '"') or "\x00" in whole:
            raise
        return whole


def read(text: str) -> str:
    """An argument's text, or what is in the ``@file`` or the standard input (``-``) that it names.

    Raises:
        NotUnderstood: the file cannot be read.
    """
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NotUnderstood(what=text, reason=str(getattr(error, "strerror", error))) from None
