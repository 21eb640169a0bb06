"""``trunkline chaos``: kills and pauses against the user's own App, and a count of what became of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.chaos.plan import Part, Pausable
from trunkline.cli.services import AppSpec

if TYPE_CHECKING:
    from trunkline.authoring.app import App
    from trunkline.chaos.campaign import Campaign
    from trunkline.chaos.load import Orders
    from trunkline.chaos.plan import Strike
    from trunkline.chaos.report import Report

INTERRUPTED = 130  # the exit status after Ctrl-C


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
    from trunkline.chaos.campaign import Campaign
    from trunkline.chaos.plan import plan
    from trunkline.cli import chaos_views, process
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.failures import FAILED
    from trunkline.domain.errors import NotUnderstood

    process.prepare(load_settings(log_level="error", log_format="console"))
    loaded = load_app(app)
    orders = _orders(loaded, agent, input_, event, signal or [], approve)
    asked = _strikes(loaded, kill or [], pause or [], wipe=wipe_nats)
    if runs < len(asked) * times:
        raise NotUnderstood(
            what=f"--runs {runs}", reason=f"give at least one for each of the {len(asked) * times} hits"
        )
    if data is not None and data.exists() and any(data.iterdir()):
        raise NotUnderstood(what=f"--data {data}", reason="it is not empty; only what happens here is to be counted")
    slots = plan(asked, times=times, runs=runs, seed=seed)
    narrator = chaos_views.Narrator(quiet=as_json)
    report = _carried_out(Campaign(app, loaded, orders, slots, within, workers, seed, data), narrator)
    chaos_views.show(report, as_json=as_json)
    if not report.kept:
        raise typer.Exit(FAILED)


def _carried_out(campaign: Campaign, narrator: Any) -> Report:
    """SIGINT, SIGTERM and SIGHUP end it, and everything that it started; a second one at once."""
    import asyncio
    import os

    from trunkline.chaos.campaign import carry_out
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
    from trunkline.chaos.load import Orders
    from trunkline.cli.arguments import json_value
    from trunkline.domain.errors import NotUnderstood

    sent: dict[str, Any] = {}
    for one in signals:
        name, _, data = one.partition("=")
        if name not in app.signals:
            known = ", ".join(sorted(app.signals)) or "none"
            raise NotUnderstood(what=f"--signal {name}", reason=f"the App's signals are: {known}")
        sent[name] = json_value(data or "null", f"--signal {name}")
    if not event:
        chosen = _agent(app, agent)
        return Orders(chosen, _values(app, chosen, input_, "INPUT"), signals=sent, approve=approve)
    if agent:
        raise NotUnderstood(what="--event", reason="it starts whoever subscribes; leave AGENT and INPUT out")
    type_, _, data = event.partition("=")
    subscribed = [one.name for one in app.agents.values() if any(s.event_type == type_ for s in one.spec.subscriptions)]
    if not subscribed:
        raise NotUnderstood(what=f"--event {type_}", reason="no agent of the App subscribes to it")
    return Orders("", _values(app, subscribed[0], data, "--event"), event=type_, signals=sent, approve=approve)


def _agent(app: App, name: str) -> str:
    from trunkline.domain.errors import NotUnderstood

    if name in app.agents or (not name and len(app.agents) == 1):
        return name or next(iter(app.agents))
    known = ", ".join(sorted(app.agents)) or "none"
    what = f"The agent {name!r}" if name else "AGENT is needed"
    raise NotUnderstood(what=what, reason=f"the App's agents are: {known}")


def _values(app: App, agent: str, text: str, what: str) -> Any:
    """The input of each run by its number; the first is tried."""
    from trunkline.chaos.inputs import NoSample, sample
    from trunkline.cli.arguments import json_in, read
    from trunkline.domain.errors import BadInput, NotUnderstood

    whole, declared = read(text) if text else "", app.agents[agent]

    def value(number: int) -> Any:
        return json_in(whole.replace("{n}", str(number)), what) if whole else sample(declared.spec.input_schema, number)

    try:
        declared.input.decode(value(1))
    except (NoSample, BadInput) as error:
        if text:
            raise
        raise NotUnderstood(what=f"{what} is needed", reason=f"none can be made up for {agent!r} ({error})") from None
    return value


def _strikes(app: App, kill: list[Part], pause: list[Pausable], *, wipe: bool) -> list[Strike]:
    from trunkline.chaos.plan import WORKERS, Action, Part, Strike
    from trunkline.domain.errors import NotUnderstood

    there = {Part.AGENTS}
    there |= {Part.TOOLS} if app.tools else set()
    there |= {Part.LLM} if any(agent.spec.kind == "llm" for agent in app.agents.values()) else set()
    asked = [Strike(Action.KILL, part) for part in kill]
    asked += [Strike(Action.PAUSE, Part(part)) for part in pause]
    asked += [Strike(Action.WIPE, Part.NATS)] if wipe else []
    for strike in asked:
        if strike.part in WORKERS - there:
            raise NotUnderstood(what=f"--{strike.action} {strike.part}", reason="the App has no work for such a worker")
    return asked or [Strike(Action.KILL, part) for part in Part if part in there]
