"""Trunkline: event-driven AI agents on NATS JetStream, event-sourced in Postgres.

What users import stands here. Each name is loaded when it is first used, so that the command line answers at once, and
a program that only calls agents loads no more than the client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trunkline.domain.errors import (
    AskFailed,
    BadDeclaration,
    BadInput,
    BadOutput,
    ModelFailed,
    NoAnswer,
    NotDurable,
    NotJson,
    RestartsExhausted,
    RunCancelled,
    RunFailedError,
    StepError,
    TimedOut,
    ToolFailed,
    TrunklineError,
    TurnsExhausted,
)

if TYPE_CHECKING:
    from trunkline.authoring.agent import Agent
    from trunkline.authoring.app import App
    from trunkline.authoring.children import Child, Ended
    from trunkline.authoring.context import Context
    from trunkline.authoring.probing import Happened, NotHappened
    from trunkline.authoring.signals import Approval, SignalType
    from trunkline.authoring.team import Member
    from trunkline.authoring.timetable import At, Cron, Every
    from trunkline.authoring.tool import Tool
    from trunkline.authoring.tool_context import ToolContext
    from trunkline.client.client import Client
    from trunkline.domain.events import CloudEvent
    from trunkline.domain.specs import RestartPolicy, RetryPolicy
    from trunkline.domain.ticks import Tick
    from trunkline.engine.step import Step

__all__ = [
    "Agent",
    "App",
    "Approval",
    "AskFailed",
    "At",
    "BadDeclaration",
    "BadInput",
    "BadOutput",
    "Child",
    "Client",
    "CloudEvent",
    "Context",
    "Cron",
    "Ended",
    "Every",
    "Happened",
    "Member",
    "ModelFailed",
    "NoAnswer",
    "NotDurable",
    "NotHappened",
    "NotJson",
    "RestartPolicy",
    "RestartsExhausted",
    "RetryPolicy",
    "RunCancelled",
    "RunFailedError",
    "SignalType",
    "Step",
    "StepError",
    "Tick",
    "TimedOut",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "TrunklineError",
    "TurnsExhausted",
]


_ROOMS = {
    "Agent": "authoring.agent",
    "App": "authoring.app",
    "Approval": "authoring.signals",
    "At": "authoring.timetable",
    "Child": "authoring.children",
    "Client": "client.client",
    "CloudEvent": "domain.events",
    "Context": "authoring.context",
    "Cron": "authoring.timetable",
    "Ended": "authoring.children",
    "Every": "authoring.timetable",
    "Happened": "authoring.probing",
    "Member": "authoring.team",
    "NotHappened": "authoring.probing",
    "RestartPolicy": "domain.specs",
    "RetryPolicy": "domain.specs",
    "SignalType": "authoring.signals",
    "Step": "engine.step",
    "Tick": "domain.ticks",
    "Tool": "authoring.tool",
    "ToolContext": "authoring.tool_context",
}


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value
