"""Commands that show what there is: agents' instances, tools, and the processes at work."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit


def instances(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="Show this one, with its state and open runs.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    as_json: AsJson = False,
) -> None:
    """List an agent's instances, or show one."""
    from trunkline.cli import output, remote, views

    place = f"/v1/agents/{remote.segment(agent)}/instances"
    found = remote.get(f"{place}/{remote.segment(key)}") if key else remote.get(place, limit=limit, cursor=cursor)
    if as_json:
        output.document(found)
    elif key:
        views.instance(found)
    else:
        views.instances(found)


def tools(as_json: AsJson = False) -> None:
    """List the tools that workers have declared."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/tools")
    if as_json:
        output.document(page)
    else:
        views.tools(page)


def ps(as_json: AsJson = False) -> None:
    """List the processes at work, and what they hold."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/workers")
    if as_json:
        output.document(page)
    else:
        views.workers(page)
