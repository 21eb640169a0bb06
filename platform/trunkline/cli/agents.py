"""``trunkline agents``: what is declared, and letting no new run begin."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson

app = typer.Typer(help="List, pause and resume agents.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name.")]


@app.callback()
def _listed(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the agents that workers have declared."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/agents")
    if as_json:
        output.document(page)
    else:
        views.agents(page)


@app.command("pause")
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; shown with every run that waits.")],
    as_json: AsJson = False,
) -> None:
    """Let no new run of an agent begin: requests are accepted and wait, runs that have begun go on."""
    from trunkline.cli import output, remote

    answer = remote.post(f"/v1/agents/{remote.segment(name)}/pause", {"reason": reason})
    if as_json:
        output.document(answer)
    else:
        output.say(f"No new run of {name} begins. See: trunkline agents resume {name}")


@app.command("resume")
def resume(name: Name, as_json: AsJson = False) -> None:
    """Let runs of a paused agent begin again."""
    from trunkline.cli import output, remote

    answer = remote.post(f"/v1/agents/{remote.segment(name)}/resume", {})
    if as_json:
        output.document(answer)
    else:
        output.say(f"Runs of {name} begin." if answer["was_paused"] else f"{name} was not paused.")
