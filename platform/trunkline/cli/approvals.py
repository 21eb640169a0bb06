"""``trunkline approvals``: decisions that runs wait for, and giving them."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit

app = typer.Typer(help="List and give the decisions that runs wait for.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The approval's id.")]
By = Annotated[str, typer.Option(help="Who decides; kept in the journal. [default: the user's name]")]
Comment = Annotated[str, typer.Option(help="Told to the agent.")]


@app.command("list")
def list_(limit: Limit = 50, cursor: Cursor = "", as_json: AsJson = False) -> None:
    """List what runs wait for, newest first."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/approvals", limit=limit, cursor=cursor)
    if as_json:
        output.document(page)
    else:
        views.approvals(page)


@app.command("approve")
def approve(id_: Id, by: By = "", comment: Comment = "") -> None:
    """Say yes."""
    _decide(id_, approved=True, by=by, comment=comment)


@app.command("refuse")
def refuse(id_: Id, by: By = "", comment: Comment = "") -> None:
    """Say no."""
    _decide(id_, approved=False, by=by, comment=comment)


def _decide(id_: str, *, approved: bool, by: str, comment: str) -> None:
    from trunkline.cli import output, remote

    said = {"approved": approved, "by": by or getpass.getuser(), "comment": comment or None}
    answer = remote.post(f"/v1/approvals/{remote.segment(id_)}", said)
    output.say(
        f"{'Approved' if approved else 'Refused'}, by {answer['by']}. See: trunkline runs show {answer['run_id']}"
    )
