"""``trunkline chaos``: kills and pauses against the user's own App, and a count of what became of its runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.chaos.plan import Part, Pausable
from trunkline.cli.failures import INTERRUPTED
from trunkline.cli.services import AppSpec

if TYPE_CHECKING:
    from trunkline.authoring.app import App
    from trunkline.chaos.campaign import Campaign
    from trunkline.chaos.load import Orders
    from trunkline.chaos.report import Report


def chaos(
    app: AppSpec,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent; needed if there are several.")] = "",
    input_: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="JSON, in which {n} is the number of the run; @FILE and - read it from there. Without it, one is made"
            " from the agent's schema.",
        ),
    ] = "",
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs are started.")] = 100,
    kill: Annotated[
        list[Part] | None, typer.Option(help="What is killed, again and again; may be given several times.")
    ] = None,
    pause: Annotated[
        list[Pausable] | None, typer.Option(help="What is stopped for longer than its lease, and then goes on.")
    ] = None,
    wipe_nats: Annotated[bool, typer.Option("--wipe-nats", help="Kill NATS, and let it forget everything.")] = False,
    times: Annotated[int, typer.Option(min=1, max=50, help="How often each of these is done.")] = 3,
    within: Annotated[
        float, typer.Option(min=10, max=3600, help="Seconds after which what is not done is lost.")
    ] = 120,
    event: Annotated[
        str, typer.Option(metavar="TYPE[=JSON]", help="Publish such events instead of starting an agent.")
    ] = "",
    signal: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=JSON]", help="Send each run this signal when it has started.")
    ] = None,
    approve: Annotated[
        bool | None, typer.Option("--approve/--refuse", help="Decide so whatever asks for approval.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Workers of each kind.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="What makes the moments come out the same again.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep the data in this new directory, for trunkline dev --data."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, and nothing else.")] = False,
) -> None:
    """Kill parts of APP while it works, and count.

    Runs APP on embedded servers with real processes, and hits workers while they hold work: agents, tools and model
    workers, unless --kill, --pause or --wipe-nats say otherwise. Prints what was lost, doubled and repeated, and how
    long recovery took. APP's tools do what they do: let them point at a test system. Exit status 1 when a promise
    broke.
    """
    from trunkline.authoring.loading import load_app
    from trunkline.chaos.asked import strikes
    from trunkline.chaos.campaign import Campaign
    from trunkline.chaos.plan import plan
    from trunkline.cli import chaos_views, process
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.failures import FAILED
    from trunkline.domain.errors import NotUnderstood

    process.prepare(load_settings(log_level="error", log_format="console"))
    loaded = load_app(app)
    if event and agent:
        raise NotUnderstood(what="--event", reason="it starts whoever subscribes; leave AGENT and INPUT out")
    orders = _orders(loaded, agent, input_, event, signal or [], approve)
    hits = strikes(loaded, kill or [], pause or [], wipe=wipe_nats)
    if runs < len(hits) * times:
        raise NotUnderstood(what=f"--runs {runs}", reason=f"give at least one for each of the {len(hits) * times} hits")
    if data is not None and data.exists() and any(data.iterdir()):
        raise NotUnderstood(what=f"--data {data}", reason="it is not empty; only what happens here is to be counted")
    slots = plan(hits, times=times, runs=runs, seed=seed)
    narrator = chaos_views.Narrator(quiet=as_json)
    report = _carried_out(Campaign(app, loaded, orders, slots, within, workers, seed, data), narrator)
    chaos_views.show(report, as_json=as_json)
    if not report.kept:
        raise typer.Exit(FAILED)


def _carried_out(campaign: Campaign, narrator: Any) -> Report:
    """SIGINT, SIGTERM and SIGHUP end it, and everything that it started; a second one at once."""
    import asyncio
    import os

    from trunkline.chaos.fire import carry_out
    from trunkline.cli.process import asking_to_stop

    async def until_asked() -> Report:
        task = asyncio.current_task()
        assert task is not None
        asked: list[int] = []

        def on_signal(number: int) -> None:
            if asked:
                os._exit(INTERRUPTED)
            asked.append(number)
            narrator.say("stopping … (once more ends it at once)")
            task.cancel()

        for number in asking_to_stop():
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
        return await carry_out(campaign, narrator)

    try:
        return asyncio.run(until_asked())
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None


def _orders(app: App, agent: str, input_: str, event: str, signals: list[str], approve: bool | None) -> Orders:
    from trunkline.chaos import asked
    from trunkline.chaos.load import Orders
    from trunkline.cli.arguments import json_in, read

    sent = {name: json_in(read(data or "null"), f"--signal {name}") for name, data in map(_named, signals)}
    asked.check_signals(app, sent)
    type_, given = _named(event)
    chosen = asked.subscriber(app, type_) if event else asked.agent(app, agent)
    text = given if event else input_
    what = "the data of --event" if event else "INPUT"
    value = asked.values(app.agents[chosen], read(text) if text else "", what, partial(json_in, what=what))
    return Orders("" if event else chosen, value, event=type_, signals=sent, approve=approve)


def _named(text: str) -> tuple[str, str]:
    """``NAME=JSON`` taken apart."""
    name, _, given = text.partition("=")
    return name, given
