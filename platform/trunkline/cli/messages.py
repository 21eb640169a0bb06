"""Commands that send something: a request to an agent, an event to whoever subscribes, a signal to a run."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.arguments import AsJson, Repeat


def run(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    input_: Annotated[
        str, typer.Argument(metavar="INPUT", help="JSON, or text; @FILE and - (standard input) read it from there.")
    ],
    key: Annotated[str, typer.Option(help="The instance; without it, one of its own for this run.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Show what happens, until the run ends.")] = False,
    repeat: Repeat = "",
    as_json: AsJson = False,
) -> None:
    """Start a run of AGENT with INPUT.

    With --follow the exit status is 0 only if the run completes.
    """
    from trunkline.cli import following, output, remote
    from trunkline.cli.arguments import json_value

    place = f"/v1/agents/{remote.segment(agent)}" + (f"/instances/{remote.segment(key)}" if key else "")
    answer = remote.post(f"{place}/runs", {"input": json_value(input_, "INPUT")}, repeat=repeat)
    if follow:
        raise typer.Exit(following.follow(answer["run_id"], as_json=as_json))
    if as_json:
        output.document(answer)
    else:
        output.say(f"Run {answer['run_id']} is {answer['status']}.")
        output.say(f"See: trunkline runs show {answer['run_id']}")


def publish(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The event's type, such as order.placed.")],
    data: Annotated[str, typer.Argument(metavar="JSON", help="Its data; @FILE and - read it from there.")],
    source: Annotated[str, typer.Option(help="Its source.")] = "trunkline/cli",
    id_: Annotated[str, typer.Option("--id", help="Its id; the same source and id do nothing twice.")] = "",
    subject: Annotated[str, typer.Option(help="Its subject.")] = "",
    as_json: AsJson = False,
) -> None:
    """Publish a CloudEvent to the agents that subscribe."""
    from trunkline.cli import output, remote
    from trunkline.cli.arguments import json_in, read
    from trunkline.domain.errors import NotUnderstood
    from trunkline.domain.events import parse_event
    from trunkline.domain.ids import new_id

    text = read(data)
    if not text.strip():
        raise NotUnderstood(what="JSON", reason="it is empty; write null for an event without data")
    given = {"id": id_ or new_id(), "source": source, "type": type_, "data": json_in(text, "JSON")}
    event = parse_event({"specversion": "1.0", **given, **({"subject": subject} if subject else {})})
    answer = remote.post("/v1/events", event.to_body())
    if as_json:
        output.document(answer)
    else:
        output.say(f"Published {event.type} {event.id}.")


def signal(
    target: Annotated[str, typer.Argument(metavar="RUN|AGENT/KEY", help="A run's id, or an agent and a key.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The signal's name.")],
    data: Annotated[str, typer.Argument(metavar="JSON", help="What it says.")] = "null",
    repeat: Repeat = "",
    as_json: AsJson = False,
) -> None:
    """Send a signal to a run or an instance."""
    from trunkline.cli import output, remote
    from trunkline.cli.arguments import json_value

    agent, slash, key = target.partition("/")
    if slash:
        place = f"/v1/agents/{remote.segment(agent)}/instances/{remote.segment(key)}"
    else:
        place = f"/v1/runs/{remote.segment(target)}"
    answer = remote.post(f"{place}/signals/{remote.segment(name)}", json_value(data, "JSON"), repeat=repeat)
    if as_json:
        output.document(answer)
    else:
        output.say(f"Sent {name} to {target}.")
