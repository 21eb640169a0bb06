"""``trunkline instances``: an agent's instances, what they have come to, and erasing one."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit

app = typer.Typer(help="List, show and erase an agent's instances.", no_args_is_help=True)

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The instance's key.")]


@app.command("list")
def list_(agent: Agent, limit: Limit = 50, cursor: Cursor = "", as_json: AsJson = False) -> None:
    """List an agent's instances, by key."""
    from trunkline.cli import output, remote, views

    page = remote.get(f"/v1/agents/{remote.segment(agent)}/instances", limit=limit, cursor=cursor)
    if as_json:
        output.document(page)
    else:
        views.instances(page)


@app.command("show")
def show(agent: Agent, key: Key, as_json: AsJson = False) -> None:
    """Show an instance, with its state and open runs."""
    from trunkline.cli import output, remote, views

    found = remote.get(f"/v1/agents/{remote.segment(agent)}/instances/{remote.segment(key)}")
    if as_json:
        output.document(found)
    else:
        views.instance(found)


@app.command("erase")
def erase(
    agent: Agent,
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase an instance with all that it was, did and was told. It cannot be undone.

    Its open runs fail as Erased. What comes to the same key later begins a fresh instance.
    """
    from trunkline.cli import output, remote

    _confirm(agent, key, yes=yes)
    erased = remote.delete(f"/v1/agents/{remote.segment(agent)}/instances/{remote.segment(key)}")
    if as_json:
        output.document(erased)
    else:
        rest = "" if erased["purged"] else " The rest of its journal is still being deleted."
        output.say(f"Erased. Its tombstone is {erased['instance']}.{rest}")


def _confirm(agent: str, key: str, *, yes: bool) -> None:
    from trunkline.domain.errors import NotUnderstood

    if yes:
        return
    if not sys.stdin.isatty():
        raise NotUnderstood(what="instances erase", reason="nobody can be asked here; say --yes")
    typer.confirm(f"Erase {agent}/{key}, with all that it was? It cannot be undone.", abort=True, err=True)
