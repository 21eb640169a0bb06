"""Whether what the code does now is what the journal recorded, and if not, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.domain.codec import dumps
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRestarted,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepScheduled,
)

_SHORT = 120  # characters of a value

_PLAIN: dict[type[Entry], str] = {
    CancelRequested: "a request to cancel the run",
    RunRestarted: "a restart of the run",
    RunCancelled: "the cancelled end of the run",
}


def same(recorded: Entry, now: Entry) -> bool:
    """Whether a replay may go on: the same step with the same arguments, or the same end."""
    if type(recorded) is not type(now):
        return False
    if isinstance(recorded, StepScheduled) and isinstance(now, StepScheduled):
        return (
            recorded.key == now.key
            and recorded.kind == now.kind
            and recorded.name == now.name
            and bool(recorded.args == now.args)
            and bool(recorded.options.get("key") == now.options.get("key"))
        )
    return bool(_facts(recorded) == _facts(now))


def difference(recorded: Entry | None, now: Entry | None, waiting_for: Iterable[str] = ()) -> str:
    """What stands in the journal, and what the code comes to instead; ``None`` is nothing."""
    if isinstance(recorded, StepScheduled) and isinstance(now, StepScheduled) and recorded.key == now.key:
        return f"step {now.key}: {_changed(recorded, now)}"
    waits = ", ".join(list(waiting_for)[:5])
    code = describe(now) if now is not None else f"waits for {waits}" if waits else "has ended"
    return f"the journal has {describe(recorded)}, where the code now {code if now is None else 'comes to ' + code}"


def describe(entry: Entry | None) -> str:
    """An entry in a few words."""
    told = "nothing"
    match entry:
        case StepScheduled():
            told = f"step {entry.key} with {_short(entry.args)}"
        case StepCompleted() | StepFailed():
            told = f"the outcome of step {entry.key}"
        case StepCancelled():
            told = f"the cancellation of step {entry.key}"
        case SignalReceived():
            told = f"signal {entry.name!r}"
        case RunCompleted():
            told = f"the end of the run with output {_short(entry.output)}"
        case RunFailed():
            told = f"the failure of the run ({entry.error.get('type')}: {entry.error.get('message')})"
        case RunContinued():
            told = f"the end of the incarnation, and the next with input {_short(entry.input)}"
        case CancelRequested() | RunRestarted() | RunCancelled():
            told = _PLAIN[type(entry)]
    return told


def _facts(entry: Entry) -> Any:
    match entry:
        case StepCompleted():
            return entry.key, entry.value
        case StepCancelled():
            return entry.key
        case RunCompleted():
            return entry.output, entry.state, entry.conversation
        case RunFailed():
            return entry.error.get("type")  # messages may hold addresses in memory
        case _:
            return None


def _changed(recorded: StepScheduled, now: StepScheduled) -> str:
    if (recorded.kind, recorded.name) != (now.kind, now.name):
        return f"it was {recorded.kind} {recorded.name!r}, and the code now asks for {now.kind} {now.name!r}"
    if recorded.args != now.args:
        return _first_change("args", recorded.args, now.args)
    return _first_change("key", recorded.options.get("key"), now.options.get("key"))


def _first_change(where: str, was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in [*was, *(name for name in now if name not in was)]:
            if name not in was:
                return f"{where}.{name} was not there, and is {_short(now[name])} now"
            if name not in now:
                return f"{where}.{name} was {_short(was[name])}, and is not there now"
            if was[name] != now[name]:
                return _first_change(f"{where}.{name}", was[name], now[name])
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, (before, after) in enumerate(zip(was, now, strict=True)):
            if before != after:
                return _first_change(f"{where}.{place}", before, after)
    return f"{where} was {_short(was)}, and is {_short(now)} now"


def _short(value: Any) -> str:
    text = dumps(value).decode()
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"
