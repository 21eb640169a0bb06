"""Commands that show what there is: agents, tools, and the processes at work."""

from __future__ import annotations

from trunkline.cli.arguments import AsJson


def agents(as_json: AsJson = False) -> None:
    """List the agents that workers have declared."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/agents")
    if as_json:
        output.document(page)
    else:
        views.agents(page)


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
