"""What commands print: tables for people, one JSON document for scripts; colours only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from trunkline.domain.codec import dumps

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 240  # columns where nobody looks: a file or a pipe

STYLES = {
    "completed": "green", "running": "cyan", "waiting": "cyan", "accepted": "cyan", "failed": "red",
    "parked": "yellow", "cancelled": "dim", "ok": "green", "missing": "red", "note": "yellow",
}  # fmt: skip


@cache
def console() -> Console:
    """Standard output. ``NO_COLOR`` is heeded."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


def say(text: str, style: str = "") -> None:
    """One line; markup in it is not read."""
    console().print(text, style=style, markup=False)
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr)


def document(value: Any) -> None:
    """``value`` as one line of JSON."""
    sys.stdout.write(dumps(value, what="the answer").decode() + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows under headings; ``empty`` is said when there are none."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, no_wrap=True, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(shown(cell), STYLES.get(str(cell), "")) for cell in row))
    if grid.row_count:
        console().print(grid)
    else:
        say(empty)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """One fact a line; those that are not known are left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        say(f"{name:<{width}}  {shown(value)}", STYLES.get(str(value), ""))


def shown(value: Any) -> str:
    """A value as people read it: text as it is, nothing as nothing, all else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return dumps(value, what="the answer").decode()


def moment(value: float | str | None) -> str:
    """A time (seconds since the epoch, or ISO 8601) as UTC to the second."""
    if value in (None, ""):
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(float(value or 0), UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def cut(text: str, length: int) -> str:
    """``text`` in at most ``length`` characters, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
