"""How the gateway's answers look to people: one function an answer. Scripts take the same answers with ``--json``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from trunkline.access.transcript import RunEvent
from trunkline.cli.output import cut, facts, moment, say, shown, table

Body = Mapping[str, Any]

HIDDEN = ("at", "seed", "options")  # of journal entries: not for the one line that there is


def runs(page: Body) -> None:
    """A page of runs."""
    rows = (
        (each["id"], each["agent"], cut(each["key"], 40), each["status"], moment(each["created_at"]), why(each))
        for each in page["items"]
    )
    table(("RUN", "AGENT", "KEY", "STATUS", "ACCEPTED", "WHY"), rows, empty="There are no such runs.")
    _more(page)


def tree(found: Body) -> None:
    """A run and its descendants, each behind as much space as there are generations before it."""
    for depth, each in _generations(found, 0):
        error = each.get("error") or {}
        because = f"  {error.get('type')}: {error.get('message')}" if error else f"  {each['parked_reason']}".rstrip()
        say(f"{'  ' * depth}{each['agent']}/{cut(each['key'], 40)}  {each['status']}  {each['id']}{because}")
    if found["more"]:
        say("There are more.", "dim")


def _generations(node: Body, depth: int) -> Iterator[tuple[int, Body]]:
    yield depth, node
    for child in node["children"]:
        yield from _generations(child, depth + 1)


def replayed(found: Body) -> None:
    """Which runs the code fits, and where it would go another way."""
    rows = (
        (each["run"], each["agent"], cut(each["key"], 40), _fits(each), each["difference"]) for each in found["items"]
    )
    table(("RUN", "AGENT", "KEY", "CODE", "DIFFERENCE"), rows, empty="No such run is under way.")
    say(f"{found['fits']} fit, {found['diverged']} diverge.", "red" if found["diverged"] else "green")
    if found["more"]:
        say("There are more: --limit", "dim")


def _fits(each: Body) -> str:
    return "diverges" if each["difference"] else "fits"


def why(run_: Body) -> str:
    """Why the run stands where it does, in a few words."""
    error = run_.get("error") or {}
    failed = f"{error.get('type')}: {error.get('message')}" if error else ""
    return cut(run_.get("parked_reason") or run_.get("waits_because") or failed, 60)


def run(found: Body) -> None:
    """One run: what was asked, what became of it, and what would free it."""
    error = found.get("error") or {}
    usage = found.get("usage") or {}
    facts(
        [
            ("run", found["id"]),
            ("agent", found["agent"]),
            ("key", found["key"]),
            ("definition", found.get("definition") or None),
            ("code", found.get("code")),
            ("handler", found.get("handler")),
            ("status", found["status"]),
            ("waits", found.get("waits_because")),
            ("restarts", found.get("restarts")),
            ("parked", found.get("parked_reason")),
            ("because", found.get("parked_detail")),
            ("input", found.get("input")),
            ("output", found.get("output")),
            ("error", f"{error.get('type')}: {error.get('message')}" if error else None),
            ("accepted", moment(found.get("created_at"))),
            ("started", moment(found.get("started_at"))),
            ("deadline", moment(found.get("deadline"))),
            ("ended", moment(found.get("ended_at"))),
            ("model calls", usage.get("model_calls")),
            ("tokens", _tokens(usage)),
            ("cost", f"${found['cost_usd']:.6f}" if found.get("cost_usd") else None),
            ("asked by", found.get("parent_run")),
        ]
    )
    for number, action in enumerate(found.get("next_actions") or ()):
        say(f"{'next' if number == 0 else '':<6}→ {action}", "yellow")


def _tokens(usage: Body) -> str:
    return f"{usage['input_tokens']} in, {usage['output_tokens']} out" if usage.get("model_calls") else ""


def journal(page: Body) -> None:
    """Entries in order, a line each."""
    rows = (
        (str(entry["version"]), moment(entry["at"]), entry["type"], cut(_gist(entry["body"]), 150))
        for entry in page["items"]
    )
    table(("VERSION", "AT", "ENTRY", "WHAT"), rows, empty="Nothing is recorded of it yet.")
    _more(page)


class Follower:
    """A run's events as they come: a line each, and a model's tokens one behind the other."""

    def __init__(self) -> None:
        self._writing = False

    def event(self, event: RunEvent) -> None:
        if event.type == "token":
            sys.stdout.write(event.data["text"])
            sys.stdout.flush()
            self._writing = True
            return
        if self._writing:
            sys.stdout.write("\n")
            self._writing = False
        if event.type == "reset":
            say("(it begins again)", "dim")
        elif event.type == "status":
            say(f"run     {event.data['status']}", "cyan")
        else:
            more = shown(event.data.get("error") or event.data.get("reason") or "")
            say(f"step    {event.data['status']:<10}  {event.data['step']}  {cut(more, 100)}".rstrip())


def _gist(body: Body) -> str:
    return "  ".join(f"{name}={shown(value)}" for name, value in body.items() if name not in HIDDEN)


def agents(page: Body) -> None:
    """Declared agents, with the events that wake them."""
    rows = (
        (
            each["name"],
            each["kind"],
            each["app"],
            str(each["version"]),
            ", ".join(sorted({str(subscription["event_type"]) for subscription in each["subscriptions"]})),
            cut(f"paused: {each['paused']['reason']}" if each["paused"] else "", 40),
            cut(each["description"], 60),
        )
        for each in page["items"]
    )
    empty = "No agent is declared. Start a worker: trunkline worker agents APP"
    table(("AGENT", "KIND", "APP", "VERSION", "EVENTS", "PAUSED", "WHAT"), rows, empty=empty)


def tools(page: Body) -> None:
    """Declared tools, with how they may be repeated."""
    rows = (
        (
            each["name"],
            each["app"],
            str(each["version"]),
            each["effect"],
            f"{each['timeout']:g} s",
            str(each["retry"]["retries"]),
            cut(each["description"], 60),
        )
        for each in page["items"]
    )
    empty = "No tool is declared. Start a worker: trunkline worker tools APP"
    table(("TOOL", "APP", "VERSION", "EFFECT", "TIMEOUT", "RETRIES", "WHAT"), rows, empty=empty)


def definitions(page: Body) -> None:
    """Versions of definitions, and how they came to be current."""
    rows = (
        (
            each["agent"],
            str(each["version"]),
            "current" if each["current"] else "",
            each["cause"],
            moment(each["since"]),
            each["app"],
            each["digest"][:12],
        )
        for each in page["items"]
    )
    table(("AGENT", "VERSION", "NOW", "BY", "SINCE", "APP", "DIGEST"), rows, empty="No agent is declared.")


def definition(found: Body) -> None:
    """One version, whole: what the model is told comes last."""
    body = found["body"]
    model = body.pop("model", None) or {}
    facts([("agent", found["agent"]), ("version", found["version"]), *body.items(), *model.items()])


def moved(answer: Body, *, nothing: str) -> None:
    """Which versions became current."""
    for each in answer["moved"]:
        before = f" (before: version {each['previous']})" if each["previous"] else ""
        say(f"{each['name']} is at version {each['version']} now{before}", "green")
    if not answer["moved"]:
        say(nothing)


def schedules(page: Body) -> None:
    """Declared schedules, and when they are due."""
    rows = (
        (
            each["agent"],
            cut(each["name"], 60),
            each["spec"]["missed"],
            moment(each["due_at"]) or "not any more",
            moment(each["fired_at"]),
            moment(each["missed_at"]),
            cut(each["trouble"], 60),
        )
        for each in page["items"]
    )
    columns = ("AGENT", "SCHEDULE", "IF MISSED", "DUE", "LAST", "MISSED", "TROUBLE")
    table(columns, rows, empty="No agent has a schedule.")


def instances(page: Body) -> None:
    """A page of instances."""
    rows = (
        (cut(each["key"], 60), str(each["head"]), each["owner"], moment(each["progress_at"])) for each in page["items"]
    )
    table(("KEY", "HEAD", "HELD BY", "LAST PROGRESS"), rows, empty="It has no instances.")
    _more(page)


def instance(found: Body) -> None:
    """One instance: its state, its conversation's length, and what is under way."""
    row = found["instance"]
    facts(
        [
            ("agent", row["agent"]),
            ("key", row["key"]),
            ("head", row["head"]),
            ("held by", row["owner"]),
            ("state", found["state"]),
            ("conversation", f"{len(found['conversation'])} messages" if found["conversation"] else None),
        ]
    )
    if found["open_runs"]:
        runs({"items": found["open_runs"]})


def workers(page: Body) -> None:
    """Processes at work."""
    rows = (
        (
            each["worker"],
            each["kind"],
            each["app"],
            f"{each['host']}:{each['pid']}",
            str(each["held"]),
            str(each["progress"]),
            moment(each["started_at"]),
            _condition(each),
        )
        for each in page["items"]
    )
    columns = ("WORKER", "KIND", "APP", "HOST:PID", "HOLDS", "PROGRESS", "SINCE", "STATE")
    table(columns, rows, empty="No worker is at work.")


def _condition(worker: Body) -> str:
    if worker.get("dead_at"):
        return "dead"
    if worker.get("left_at"):
        return "gone"
    return "draining" if worker["draining"] else "at work"


def dead_letters(page: Body) -> None:
    """A page of dead letters."""
    rows = (
        (each["id"], moment(each["created_at"]), each["source"], cut(each["reason"], 40), cut(each["detail"], 80))
        for each in page["items"]
    )
    table(("ID", "AT", "SOURCE", "REASON", "DETAIL"), rows, empty="There are no dead letters.")
    _more(page)


def dead_letter(found: Body) -> None:
    """One dead letter, whole."""
    at = ("at", moment(found["created_at"]))
    facts([at, *((name, value) for name, value in found.items() if name not in ("created_at", "tenant"))])


def _more(page: Body) -> None:
    if page.get("next"):
        say(f"There are more: --cursor {page['next']}", "dim")


def approvals(page: Body) -> None:
    """Decisions that runs wait for."""
    rows = (
        (
            each["id"],
            each["name"],
            each["agent"],
            cut(each["key"], 30),
            moment(each["expires_at"]),
            cut(shown(each["subject"]), 80),
        )
        for each in page["items"]
    )
    table(("APPROVAL", "NAME", "AGENT", "KEY", "EXPIRES", "WHAT"), rows, empty="Nobody waits for a decision.")
    _more(page)
