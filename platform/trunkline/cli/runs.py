"""``trunkline runs`` and ``trunkline journal``: what became of what was asked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trunkline.cli.arguments import AsJson, Cursor, Limit, Repeat, RunId

app = typer.Typer(help="List, show, resolve and cancel runs.", no_args_is_help=True)


@app.command("list")
def list_(
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    key: Annotated[str, typer.Option(help="Only this instance's.")] = "",
    status: Annotated[
        str, typer.Option(help="Only accepted, running, waiting, parked, completed, failed or cancelled ones.")
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from trunkline.cli import output, remote, views

    page = remote.get("/v1/runs", agent=agent, key=key, status=status, limit=limit, cursor=cursor)
    if as_json:
        output.document(page)
    else:
        views.runs(page)


@app.command("show")
def show(run: RunId, as_json: AsJson = False) -> None:
    """Show a run, why it is so, and what would free it."""
    from trunkline.cli import output, remote, views

    found = remote.get(f"/v1/runs/{remote.segment(run)}")
    if as_json:
        output.document(found)
    else:
        views.run(found)


@app.command("tree")
def tree(run: RunId, as_json: AsJson = False) -> None:
    """Show a run with all that it spawned and asked for, and how these stand."""
    from trunkline.cli import output, remote, views

    found = remote.get(f"/v1/runs/{remote.segment(run)}/tree")
    if as_json:
        output.document(found)
    else:
        views.tree(found)


@app.command("cancel")
def cancel(
    run: RunId,
    reason: Annotated[str, typer.Option(help="Told to the handler, and kept.")] = "cancelled from the command line",
    repeat: Repeat = "",
    as_json: AsJson = False,
) -> None:
    """Ask for a run's end; its handler may clean up first."""
    from trunkline.cli import output, remote

    answer = remote.post(f"/v1/runs/{remote.segment(run)}/cancel", {"reason": reason}, repeat=repeat)
    if as_json:
        output.document(answer)
    else:
        output.say(f"Run {run} was asked to end. See: trunkline runs show {run}")


@app.command("resolve")
def resolve(
    run: RunId,
    happened: Annotated[
        str | None, typer.Option(metavar="JSON", help="The step took effect, and this is its result.")
    ] = None,
    failed: Annotated[
        str | None, typer.Option(metavar="REASON", help="It did not, and is not to be tried again.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="It did not, or what was wrong is mended: go on.")] = False,
    step: Annotated[str, typer.Option(help="Which step, where several are unknown.")] = "",
    by: Annotated[str, typer.Option(help="Who decided; kept in the journal.")] = "",
    repeat: Repeat = "",
    as_json: AsJson = False,
) -> None:
    """Say how a parked run may go on: --happened, --failed or --again."""
    from trunkline.cli import output, remote
    from trunkline.cli.arguments import json_value
    from trunkline.domain.errors import NotUnderstood

    if (happened is not None) + (failed is not None) + again != 1:
        raise NotUnderstood(what="runs resolve", reason="say one of --happened JSON, --failed REASON, --again")
    said: dict[str, Any] = {"outcome": "again"}
    if happened is not None:
        said = {"outcome": "happened", "value": json_value(happened, "--happened")}
    elif failed is not None:
        said = {"outcome": "failed", "reason": failed}
    answer = remote.post(f"/v1/runs/{remote.segment(run)}/resolve", {**said, "step": step, "by": by}, repeat=repeat)
    if as_json:
        output.document(answer)
    else:
        output.say(f"Run {run} goes on. See: trunkline runs show {run}")


@app.command("replay")
def replay(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="The run's id.")] = "",
    against: Annotated[str, typer.Option(metavar="APP", help="A file or a module that holds the App.")] = "",
    all_open: Annotated[bool, typer.Option("--all-open", help="Every run that has begun and not ended.")] = False,
    agent: Annotated[str, typer.Option(help="Of these, only this agent's.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most runs, the oldest first.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Say whether APP's code fits what runs have recorded, before it is deployed.

    It reads from Postgres, carries out no step, and writes nothing. Exit status 1 when a run would diverge.
    """
    import asyncio

    from trunkline.authoring.loading import load_app
    from trunkline.cli import output, views
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.failures import FAILED
    from trunkline.client.replaying import Wanted, held_against
    from trunkline.domain.errors import NotUnderstood
    from trunkline.store.database import Database

    if not against or bool(run) == all_open or (agent and not all_open):
        reason = "write runs replay RUN --against APP, or runs replay --all-open [--agent NAME] --against APP"
        raise NotUnderstood(what="runs replay", reason=reason)
    app_, settings = load_app(against), load_settings()

    async def look() -> dict[str, Any]:
        db = await Database.of(settings, size=1)
        try:
            return await held_against(db, settings.tenant, app_, Wanted(run=run, agent=agent, limit=limit))
        finally:
            await db.close()

    found = asyncio.run(look())
    if as_json:
        output.document(found)
    else:
        views.replayed(found)
    if found["diverged"]:
        raise typer.Exit(FAILED)


def journal(
    run: RunId,
    after: Annotated[int, typer.Option(min=0, help="Only entries behind this version.")] = 0,
    limit: Limit = 1000,
    as_json: AsJson = False,
) -> None:
    """Show what was recorded of a run, in order."""
    from trunkline.cli import output, remote, views

    page = remote.get(f"/v1/runs/{remote.segment(run)}/journal", after=after, limit=limit)
    if as_json:
        output.document(page)
    else:
        views.journal(page)
