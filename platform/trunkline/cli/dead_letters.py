"""``trunkline dead-letters``: what could not be handled, with the reason."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit

app = typer.Typer(help="List and show what could not be handled.", no_args_is_help=True)


@app.command("list")
def list_(limit: Limit = 50, cursor: Cursor = "", as_json: AsJson = False) -> None:
    """List dead letters, newest first."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/dead-letters", limit=limit, cursor=cursor)
    if as_json:
        output.document(page)
    else:
        views.dead_letters(page)


@app.command("show")
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")], as_json: AsJson = False
) -> None:
    """Show a dead letter whole."""
    from trunkline.cli import output, remote, views

    found = remote.get(f"/v1/dead-letters/{remote.segment(id_)}")
    if as_json:
        output.document(found)
    else:
        views.dead_letter(found)
