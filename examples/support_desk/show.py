"""What the demo prints: a live timeline, and the table at its end."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from support_desk.facts import Killed, Progress

_COLOURS = {"event": "cyan", "journal": "dim", "kill": "bold red", "again": "green", "count": "white"}


class Timeline:
    """One line for each thing that happened, with the seconds since the start in front."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(highlight=False, quiet=quiet, soft_wrap=True)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str, kind: str = "") -> None:
        self._console.print(f"[dim]{self.seconds:5.1f} s[/]  ", end="")
        self._console.print(text, style=_COLOURS.get(kind, ""), markup=False)

    def count(self, progress: Progress, published: int) -> None:
        self.say(
            f"events {published:3}   accepted {progress.accepted:3}   completed {progress.completed:3}   "
            f"steps: {progress.tool_steps} tool, {progress.model_calls} model   ${progress.cost:.4f}",
            "count",
        )

    def journal(self, entries: list[tuple[int, str, dict[str, Any]]]) -> None:
        """What one order's journal tells."""
        for version, type_, body in entries:
            self.say(f"    {version:3}  {type_:<14} {body.get('key', '')}", "journal")

    def table(self, report: dict[str, tuple[Any, Any]], kills: list[Killed]) -> None:
        """The numbers, each with what it must be."""
        table = Table()
        for column in ("what became of it", "is", "must be", ""):
            table.add_column(column, justify="left" if column.startswith("what") else "right")
        for name, (is_, must) in report.items():
            right = must is None or is_ == must
            told = "told" if must is None else str(must)
            table.add_row(name, str(is_), told, "[green]✓[/]" if right else "[bold red]✗[/]")
        self._console.print(table)
        self._console.print(_recoveries(kills))


def _recoveries(kills: list[Killed]) -> Table:
    table = Table()
    for column in ("from SIGKILL to the next journal entry", "held", "went on", "median", "slowest"):
        table.add_column(column, justify="left" if column.startswith("from") else "right")
    for kill in kills:
        times = [f"{median(kill.delays):.2f} s", f"{max(kill.delays):.2f} s"] if kill.delays else ["—", "—"]
        table.add_row(f"{kill.what} worker", str(kill.held), str(len(kill.delays)), *times)
    return table
