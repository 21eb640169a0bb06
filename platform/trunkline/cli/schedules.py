"""``trunkline schedules``: when agents are started by the clock."""

from __future__ import annotations

import typer

from trunkline.cli.arguments import AsJson

app = typer.Typer(help="List what the clock starts.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the schedules of agents: when each is due, when it fired last, and what was missed."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/schedules")
    if as_json:
        output.document(page)
    else:
        views.schedules(page)
