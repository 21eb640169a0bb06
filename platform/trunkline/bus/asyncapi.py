"""The bus in writing: an AsyncAPI 3 document of all subjects and bodies, for workers in any language.

Schemas come from the models that the code itself uses, and addresses from ``Subjects``, so the document cannot drift.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from trunkline.bus.subjects import Subjects
from trunkline.domain.events import CloudEvent
from trunkline.domain.work import (
    BUS_BODIES,
    FRESH_SECONDS,
    AlarmSet,
    Heartbeat,
    Outcome,
    PermitAnswer,
    PermitRequest,
    RunEnded,
    StreamChunk,
    Wake,
    WorkItem,
)

PROTOCOL = f"""\
Every body is JSON in UTF-8; unknown fields are to be ignored. Messages of a stream come at least once.

A worker for tools or models, in any language with a NATS client:

1. **Pull** from a durable consumer on WORK, named `tool=<tenant>=<app>=<name>` or `llm=<tenant>=<pool>`, with explicit
   acknowledgement, an `ack_wait` of 3 s, and a filter on the one subject that it serves. Workers of one subject share
   this consumer; JetStream refuses a second one.
2. **Fetch** the arguments from the table `payloads` when `args_ref` is set; `args` is then empty.
3. **Ask for a permit** when the item is of kind `llm` or of effect `unsafe`, when it was delivered before, or when it
   is a repeated `attempt` or older than {FRESH_SECONDS:.0f} s; and for 3 s after your process was stopped or its
   machine slept (others may have got what was sent to you): a request to `permit.<agent>` with an `execution` id made
   for this execution (a repeat with the same id gets the same answer). `go`: begin within `begin_within` s of the
   asking. `refused`: acknowledge, and do nothing. `later`, or no answer within 2 s: hand the item back (`-NAK`), and
   never execute it. Of an `unsafe` item no answer may have been `go` (unless nobody listens), and nobody else may begin
   then: ask again with the same id for a while, also after `later`. When you give that up, or `go` came too late:
   publish an outcome with `probe` set, your `execution` and the error type `NotBegun`, never begin as this execution,
   and hand the item back, or acknowledge it after a `go`; it is issued again.
4. **Stay alive**: send `+WPI` to the message's reply subject every second or so while you work; after 3 s of silence
   the item goes to another worker.
5. **Listen** on `cancel.<run>` while you work: a message names the step that is no longer wanted. Stopping is a
   courtesy.
6. **Answer**: publish an `Outcome` to the item's `reply` subject, wait for JetStream's acknowledgement, and only then
   acknowledge the item. Repeat `tenant`, `instance`, `agent`, `run`, `step`, `attempt`, `effect` and `probe` as they
   came, and name the `execution` that you asked with: without these a late outcome of an unsafe step is not held
   against what was decided meanwhile. Either `value` or `error` is set; an error's `retryable` says whether another
   attempt may help, and its `unknown` that an unsafe step may have taken effect. Outcomes for one `reply` subject may
   share a message: a JSON array of them.

An item with `probe` asks what became of this attempt: find out, without a permit, and **do not carry it out**. Answer
with the result, with an error of the type `NotHappened`, or with one that says `unknown`.

The `idempotency_key` is the same for every attempt of a step: pass it on to whatever you call.
"""


@dataclass(frozen=True, slots=True)
class _Channel:
    """``action`` is the exchange's: it receives what outsiders send, and sends what they receive."""

    name: str
    address: Callable[[Subjects], str]
    body: type[BaseModel]
    action: Literal["send", "receive"]
    summary: str
    answer: type[BaseModel] | None = None


_CHANNELS = (
    _Channel(
        "event", lambda s: s.event("{tenant}", "{type}"), CloudEvent, "receive",
        "A CloudEvent for the agents that subscribe to its type; the type's tokens end the subject.",
    ),
    _Channel("inbox", lambda s: s.inbox("{tenant}", "{agent}"), Wake, "send", "Look at this instance."),
    _Channel(
        "tool", lambda s: s.tool("{tenant}", "{app}", "{tool}"), WorkItem, "send", "An attempt of a step, for a tool.",
    ),
    _Channel("llm", lambda s: s.llm("{tenant}", "{pool}"), WorkItem, "send", "An attempt of a step, for a model."),
    _Channel(
        "reply", lambda s: s.reply("{tenant}", "{worker}"), Outcome, "receive",
        "What came of an attempt, or an array of such; the item named this subject in its `reply`.",
    ),
    _Channel(
        "stream", lambda s: s.stream("{tenant}", "{run}"), StreamChunk, "receive",
        "Tokens and progress, for those who watch.",
    ),
    _Channel(
        "permit", lambda s: s.permit("{tenant}", "{agent}"), PermitRequest, "receive",
        "May this execution begin? Answered by a worker of the agent.", PermitAnswer,
    ),
    _Channel(
        "workerPermit", lambda s: s.worker_permit("{worker}"), PermitRequest, "receive",
        "The same, forwarded to the instance's owner.", PermitAnswer,
    ),
    _Channel(
        "workerWake", lambda s: s.worker_wake("{worker}"), Wake, "send", "A wake, forwarded to the instance's owner.",
    ),
    _Channel(
        "heartbeat", lambda s: s.heartbeat("{worker}"), Heartbeat, "receive", "A process is alive, and gets on.",
    ),
    _Channel("alarm", lambda s: s.alarm(), AlarmSet, "send", "A timer was set that is due soon. A hint."),
    _Channel("ended", lambda s: s.ended("{tenant}", "{run}"), RunEnded, "send", "A hint; Postgres holds the fact."),
)  # fmt: skip


def document(namespace: str, version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document for the subjects of ``namespace``; ``version`` is that of the package."""
    subjects = Subjects(namespace)
    models: tuple[type[BaseModel], ...] = (CloudEvent, *BUS_BODIES)
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Trunkline's bus", "version": version, "description": PROTOCOL},
        "defaultContentType": "application/json",
        "channels": dict(part for each in _CHANNELS for part in _channels(each, subjects)),
        "operations": {each.name: _operation(each) for each in _CHANNELS},
        "components": {
            "messages": {model.__name__: _message(model) for model in models},
            "schemas": schemas["$defs"],
        },
    }


def _channels(channel: _Channel, subjects: Subjects) -> list[tuple[str, dict[str, Any]]]:
    address = channel.address(subjects)
    stream = subjects.stored_in(address)
    where = f"Stored in the JetStream stream {stream}." if stream else "Core NATS, not stored."
    entry = {
        "address": address,
        "description": f"{channel.summary} {where}",
        "messages": _refs(channel.body),
        "parameters": {name: {"description": _PARAMETERS[name]} for name in re.findall(r"{(\w+)}", address)},
    }
    if channel.answer is None:
        return [(channel.name, entry)]
    answers = {"address": None, "description": "The request's reply subject.", "messages": _refs(channel.answer)}
    return [(channel.name, entry), (f"{channel.name}Answer", answers)]


def _operation(channel: _Channel) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.summary,
    }
    if channel.answer is not None:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply"},
            "channel": {"$ref": f"#/channels/{channel.name}Answer"},
        }
    return operation


def _refs(model: type[BaseModel]) -> dict[str, Any]:
    return {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"}}


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "summary": " ".join((model.__doc__ or "").split("\n\n", maxsplit=1)[0].split()),
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


_PARAMETERS = {
    "tenant": "The tenant's name.",
    "type": "The event's type: one or more tokens.",
    "agent": "The agent's name.",
    "app": "The app's name.",
    "tool": "The tool's name.",
    "pool": "The pool's name; `default` unless configured.",
    "worker": "The worker's id, new at every start of its process.",
    "run": "The run's id.",
}
