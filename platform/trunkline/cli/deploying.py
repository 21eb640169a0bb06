"""``trunkline deploy``, ``rollback`` and ``definitions``: which instructions, models and tools new runs begin with."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trunkline.cli.arguments import AsJson

app = typer.Typer(help="List and show the versions of agents' definitions.", no_args_is_help=True)

AppSpec = Annotated[str, typer.Argument(metavar="APP", help="A file or a module that holds the App.")]
Agent = Annotated[str, typer.Argument(metavar="[AGENT]", help="Only this agent.")]


def deploy(app_: AppSpec, agent: Agent = "", as_json: AsJson = False) -> None:
    """Make the definitions in APP current: runs that begin from now on keep to them.

    Workers take them up without a restart. Runs in flight keep the definition that they began with. What is code
    (handlers, tools, types) comes with workers that are started anew.
    """
    from trunkline.authoring.loading import load_app
    from trunkline.cli import output, remote, views
    from trunkline.domain.errors import NotUnderstood

    agents, _ = load_app(app_).specs()
    chosen = [spec.model_dump(mode="json") for spec in agents if agent in ("", spec.name)]
    if not chosen:
        raise NotUnderstood(what=f"APP {app_!r}", reason=f"it has no agent {agent!r}" if agent else "it has no agents")
    answer = remote.post("/v1/deployments", {"agents": chosen})
    if as_json:
        output.document(answer)
    else:
        views.moved(answer, nothing="Nothing has changed: these definitions are current already.")


def rollback(
    agent: Agent = "",
    to: Annotated[int, typer.Option(min=0, help="The version [default: the one that was current before]")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make an earlier definition current again: of AGENT, or of all that the last deployment changed.

    Workers that start afterwards do not change it back; only the next deployment does.
    """
    from trunkline.cli import output, remote, views
    from trunkline.domain.errors import NothingToRollBack, NotUnderstood

    if to and not agent:
        raise NotUnderstood(what="rollback", reason="--to is a version of one agent: write rollback AGENT --to VERSION")
    versions = {agent: to} if to else _before(remote.get("/v1/definitions", agent=agent)["items"], agent)
    if not versions:
        raise NothingToRollBack
    answer = remote.post("/v1/rollbacks", {"versions": versions})
    if as_json:
        output.document(answer)
    else:
        views.moved(answer, nothing="Nothing has changed: that version is current already.")


def _before(items: list[dict[str, Any]], agent: str) -> dict[str, int]:
    """The versions to go back to: of ``agent``, or of what was deployed last, which is all of one moment."""
    current = [item for item in items if item["current"] and item["previous"]]
    if not agent:
        deployed = [item for item in current if item["cause"] == "deploy"]
        newest = max((item["since"] for item in deployed), default=0)
        current = [item for item in deployed if item["since"] == newest]
    return {item["agent"]: item["previous"] for item in current}


@app.command("list")
def list_(agent: Agent = "", as_json: AsJson = False) -> None:
    """List the current definition of every agent, or all versions of AGENT."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/definitions", agent=agent)
    if as_json:
        output.document(page)
    else:
        views.definitions(page)


@app.command("show")
def show(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    version: Annotated[int, typer.Argument(metavar="[VERSION]", min=0, help="Default: the current one.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show one version of an agent's definition."""
    from trunkline.cli import output, remote, views

    if not version:
        items = remote.get("/v1/definitions", agent=agent)["items"]
        version = next((item["version"] for item in items if item["current"]), items[0]["version"])
    found = remote.get(f"/v1/definitions/{remote.segment(agent)}/{version}")
    if as_json:
        output.document(found)
    else:
        views.definition(found)
