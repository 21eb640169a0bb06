"""``trunkline dead-letters``: what could not be handled, with the reason."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit

Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")]

app = typer.Typer(help="List, show, redrive and discard what could not be handled.", no_args_is_help=True)


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
def show(id_: Id, as_json: AsJson = False) -> None:
    """Show a dead letter whole."""
    from trunkline.cli import output, remote, views

    found = remote.get(f"/v1/dead-letters/{remote.segment(id_)}")
    if as_json:
        output.document(found)
    else:
        views.dead_letter(found)


@app.command("redrive")
def redrive(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="The dead letter's id.")] = "",
    source: Annotated[str, typer.Option(help="Instead of an ID: all from here, such as event or mailbox.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many of these.")] = 100,
) -> None:
    """Send a dead letter out again, or many."""
    from trunkline.cli import output

    for one in _chosen(id_, source, limit):
        output.say(_redriven(one))


@app.command("discard")
def discard(id_: Id) -> None:
    """Settle a dead letter without doing anything with it."""
    from trunkline.cli import output, remote

    remote.post(f"/v1/dead-letters/{remote.segment(id_)}/discard", {})
    output.say(f"Discarded {id_}.")


def _chosen(id_: str, source: str, limit: int) -> list[str]:
    from trunkline.cli import remote
    from trunkline.domain.errors import NotUnderstood

    if bool(id_) == bool(source):
        raise NotUnderstood(what="dead-letters redrive", reason="say an ID, or --source")
    if id_:
        return [id_]
    return [each["id"] for each in remote.get("/v1/dead-letters", source=source, limit=limit)["items"]]


def _redriven(id_: str) -> str:
    from trunkline.cli import remote

    sent = remote.post(f"/v1/dead-letters/{remote.segment(id_)}/redrive", {})["sent_to"]
    return f"Sent {id_} to " + ", ".join(f"{to['agent']}/{to['key']}" for to in sent) + "."
