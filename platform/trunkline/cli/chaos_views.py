"""How a campaign of ``trunkline chaos`` looks: a line for each thing that happens, and the tables at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from trunkline.chaos.report import Hit, Report, by_strike, recovery
from trunkline.cli.output import console, cut, document, say

MOST_TOLD = 20  # violations that are listed
HELD = (
    "An agent worker holds instances at work, and these go on with the next entry of their journal; a tool or model"
    " worker holds steps, and these with their outcome. Of all else, every instance at work is counted as held."
)

Row = tuple[str, str, str, bool | None]  # what, is, must be, and whether it is right (None: it is only told)


class Narrator:
    """The seconds since the beginning in front of each line. ``progress`` is for those who look on."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._began = quiet, time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        if not self._quiet:
            at = Text(f"{time.monotonic() - self._began:5.1f} s  ", "dim")
            console().print(at + Text(text, style))
            sys.stdout.flush()

    def progress(self, text: str) -> None:
        if sys.stdout.isatty():
            self.say(text)


def show(report: Report, *, as_json: bool) -> None:
    """The tables, and what they cannot hold; or one JSON document."""
    if as_json:
        document(report.as_json())
        return
    console().print(_numbers(report))
    console().print(_recoveries(report.hits))
    for line in _notes(report):
        say(line, "dim")
    for violation in report.violations[:MOST_TOLD]:
        say(violation, "red")
    say("every promise was kept" if report.kept else "a promise was broken", "green" if report.kept else "bold red")


def numbers(report: Report) -> list[Row]:
    """The first table's rows."""
    told = [
        ("runs completed", report.completed),
        ("runs failed, by the App's own doing", report.failed),
        ("runs cancelled", report.cancelled),
        ("runs parked, for somebody to repair", report.parked),
        ("runs that wait for a person or a time", report.waiting),
    ]
    rows: list[Row] = [("runs accepted", str(report.accepted), "told", None)]
    rows += [(what, str(number), "told", None) for what, number in told if number or what == "runs completed"]
    rows += [
        ("runs lost", str(report.lost), "0", report.lost == 0),
        ("done twice, or recorded wrongly", str(report.doubled), "0", report.doubled == 0),
        ("tool executions repeated", str(report.repeated.tool), "told", None),
    ]
    if report.model:
        cost = report.repeated.llm_cost_usd
        rows.append(("model calls repeated", str(report.repeated.llm), "told", None))
        rows.append(("what these would have cost", "-" if cost is None else f"${cost:.6f}", "told", None))
    return rows


def _numbers(report: Report) -> Table:
    table = Table()
    for column in ("what became of it", "is", "must be", ""):
        table.add_column(column, justify="left" if column.startswith("what") else "right")
    for what, is_, must, right in numbers(report):
        table.add_row(what, is_, must, "[bold red]✗[/]" if right is False else "[green]✓[/]")
    return table


def _recoveries(hits: Sequence[Hit]) -> Table:
    table = Table()
    for column in ("from the signal until it went on", "times", "held", "went on", "p50", "p99"):
        table.add_column(column, justify="left" if column.startswith("from") else "right")
    for what, those in by_strike(hits).items():
        _row(table, what, those)
    if len(by_strike(hits)) > 1:
        table.add_section()
        _row(table, "all", hits)
    return table


def _row(table: Table, what: str, hits: Sequence[Hit]) -> None:
    found = recovery(delay for hit in hits for delay in hit.delays)
    times = ["-" if seconds is None else f"{seconds:.2f} s" for seconds in found.values()]
    held, went_on = sum(hit.held for hit in hits), sum(len(hit.delays) for hit in hits)
    table.add_row(what, str(len(hits)), str(held), str(went_on), *times)


def _notes(report: Report) -> list[str]:
    notes = [HELD]
    if not report.completed and not report.waiting:
        notes.append("No run got through: this says little of what the hits did.")
    if report.model == "stand-in":
        notes.append("A stand-in answered for the model; costs are what the declared models ask for as many tokens.")
    if report.first_error:
        notes.append(f"The first error: {cut(report.first_error, 200)}")
    if report.parked_because:
        notes.append("Parked: " + ", ".join(f"{number} {reason}" for reason, number in report.parked_because.items()))
    if report.left_out:
        notes.append(f"{report.left_out} hits were left out for want of time: give it longer with --within.")
    return notes
