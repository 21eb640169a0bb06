"""Declarations as data: what a worker publishes of its agents and tools, and what a run keeps to.

A spec holds no code. Agents and tools are versioned by the digest of their spec (``definitions`` in Postgres).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trunkline.domain.status import Effect, OnBusy, Restart


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RetryPolicy(Spec):
    """``retries`` more attempts after the first; the delay doubles from ``base`` to ``cap`` seconds, with jitter."""

    retries: int = Field(default=0, ge=0, le=100)
    base: float = Field(default=0.2, gt=0)
    cap: float = Field(default=30.0, gt=0)


class RestartPolicy(Spec):
    """When a run is begun again after its end, and how often: more than ``max_restarts`` restarts ``within`` so many
    seconds are too many, and whoever supervises is told of a failure (OTP's restart intensity,
    https://www.erlang.org/doc/system/sup_princ.html). The delay doubles from ``base`` to ``cap`` seconds, with jitter.
    """

    restart: Restart = Restart.TEMPORARY
    max_restarts: int = Field(default=3, ge=0, le=1000)
    within: float = Field(default=60.0, gt=0, description="seconds in which the restarts are counted")
    base: float = Field(default=0.2, gt=0)
    cap: float = Field(default=30.0, gt=0)


class ToolSpec(Spec):
    """A function that tool workers carry out."""

    name: str
    app: str
    description: str = ""
    input_schema: dict[str, Any] = Field(description="JSON schema of the arguments object")
    output_schema: dict[str, Any] = Field(default_factory=dict)
    effect: Effect = Effect.PURE
    timeout: float = Field(default=30.0, gt=0, description="seconds of one attempt")
    retry: RetryPolicy = RetryPolicy()
    concurrency: int = Field(default=16, ge=1, description="executions at once in one worker process")
    rate: float | None = Field(default=None, gt=0, description="executions a second in one worker process")
    needs_approval: bool = False
    approval_timeout: float | None = Field(default=None, gt=0, description="seconds after which nobody may approve")
    probe: bool = Field(default=False, description="whether it can find out what became of a call")


class Subscription(Spec):
    """Which events wake which instances: ``key`` is a path into the event, e.g. ``data.order_id``; empty takes its id.

    ``handler`` is empty for the agent's own body (the event starts a run), or the event type of an ``@agent.on``.
    """

    agent: str
    event_type: str
    key: str = ""
    handler: str = ""


class ModelSettings(Spec):
    """How a model-driven agent calls its model: all that a run asks with, so that it stays the same while it lasts."""

    model: str
    instructions: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_turns: int = Field(default=10, ge=1, description="model calls a run")
    max_repairs: int = Field(default=2, ge=0, description="re-asks with validation errors, of those")
    timeout: float = Field(default=120.0, gt=0, description="seconds of one call")
    retry: RetryPolicy = RetryPolicy(retries=3, base=0.5)
    pool: str = "default"
    extra: dict[str, Any] = Field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="what the model is told of its tools; null where it was not recorded"
    )
    answer: dict[str, Any] | None = Field(default=None, description="what it is told of its answer; null is any text")


class ScheduleSpec(Spec):
    """When an agent is started by the clock; ``name`` is unique within it. Of ``cron`` (on the clock of ``tz``),
    ``every`` and ``at`` one counts, by ``kind``.
    """

    name: str = Field(min_length=1)
    kind: Literal["cron", "every", "at"]
    cron: str = ""
    tz: str = "UTC"
    every: float = Field(default=1.0, ge=1, description="seconds, counted from the epoch")
    at: float = Field(default=0.0, description="seconds since the epoch")
    missed: Literal["skip", "once", "all"] = "once"
    key: str = Field(default="", description="the instance's, with {due_at:…}, {schedule}, {agent}; empty: the name")
    tick: bool = Field(default=True, description="whether the handler is told which occurrence it is")


class AgentSpec(Spec):
    """A declared kind of agent."""

    name: str
    app: str
    description: str = ""
    kind: Literal["function", "llm"] = "function"
    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] = Field(default_factory=dict)
    state_schema: dict[str, Any] | None = None
    state_version: int = Field(default=1, ge=1)
    on_busy: OnBusy = OnBusy.QUEUE
    timeout: float | None = Field(default=None, gt=0, description="seconds from a run's start to its deadline")
    restart: RestartPolicy = Field(default=RestartPolicy(), description="whether its runs begin again at their end")
    subscriptions: tuple[Subscription, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    tools: tuple[str, ...] = ()
    model: ModelSettings | None = None
