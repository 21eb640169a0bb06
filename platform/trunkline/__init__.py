"""Trunkline: event-driven AI agents on NATS JetStream, event-sourced in Postgres.

What users import stands here. ``Client`` is loaded when it is first used, so that ``import trunkline`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.authoring.agent import Agent
from trunkline.authoring.app import App
from trunkline.authoring.context import Context
from trunkline.authoring.signals import Approval, SignalType
from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain.errors import (
    AskFailed,
    BadDeclaration,
    BadInput,
    BadOutput,
    ModelFailed,
    NoAnswer,
    NotDurable,
    NotJson,
    RunCancelled,
    RunFailedError,
    StepError,
    TimedOut,
    ToolFailed,
    TrunklineError,
    TurnsExhausted,
)
from trunkline.domain.events import CloudEvent
from trunkline.domain.specs import RetryPolicy
from trunkline.engine.step import Step

if TYPE_CHECKING:
    from trunkline.client import Client

__all__ = [
    "Agent",
    "App",
    "Approval",
    "AskFailed",
    "BadDeclaration",
    "BadInput",
    "BadOutput",
    "Client",
    "CloudEvent",
    "Context",
    "ModelFailed",
    "NoAnswer",
    "NotDurable",
    "NotJson",
    "RetryPolicy",
    "RunCancelled",
    "RunFailedError",
    "SignalType",
    "Step",
    "StepError",
    "TimedOut",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "TrunklineError",
    "TurnsExhausted",
]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from trunkline.client import Client  # noqa: PLC0415  (loads an HTTP client)

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
