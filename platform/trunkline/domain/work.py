"""What travels on the bus between agent workers and tool, LLM and other workers. Each model's JSON schema is published.

A worker in any language with a NATS client can take part: pull a ``WorkItem`` from ``work.…``; when it is ``llm`` or
``unsafe``, a repeated attempt, sent ``again``, redelivered, older than ``FRESH_SECONDS``, or may have come while the
process was stopped, ask ``permit.<agent>`` first; send ``+WPI`` while it runs; publish the ``Outcome`` to the item's
``reply`` subject and wait for the PubAck; then acknowledge the item.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from trunkline.domain.codec import loads
from trunkline.domain.errors import BadJson, NotAMessage
from trunkline.domain.status import Effect

FRESH_SECONDS = 60.0
BEGIN_WITHIN = 5.0  # seconds from an unsafe step's permit to its begin
NOT_HAPPENED = "NotHappened"  # a probe's answer
NOT_BEGUN = "NotBegun"  # says the execution of an unsafe step that was let begin: it did not, and never will


class Message(BaseModel):
    """A body on the bus: unknown fields are ignored, so that old workers live through a rollout."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The message in ``data``, which came from outside.

        Raises:
            NotAMessage: it holds another one, or none.
        """
        return cls._of(cls._loaded(data))

    @classmethod
    def _loaded(cls, data: bytes) -> Any:
        try:
            return loads(data)
        except BadJson as error:
            raise NotAMessage(what=f"a body of the kind {cls.__name__}", reason=str(error)) from None

    @classmethod
    def _of(cls, value: Any) -> Self:
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the body"
            reason = f"{where}: {problem['msg']}"
            raise NotAMessage(what=f"a body of the kind {cls.__name__}", reason=reason) from None


class Wake(Message):
    """Look at this instance. Losing one costs latency, never data.

    ``anew``: whoever has it in memory must load it anew, because it is no longer what it was (it was erased).
    """

    tenant: str
    agent: str
    instance: Annotated[str, StringConstraints(to_lower=True)]  # by which it is known in memory
    anew: bool = False


class WorkItem(Message):
    """A step handed to a tool or LLM worker."""

    tenant: str
    instance: str
    agent: str
    run: str
    step: str
    version: int = Field(description="journal version of the step's StepScheduled entry")
    attempt: int
    epoch: int
    reply: str = Field(description="JetStream subject of the outcome")
    kind: Literal["tool", "llm"]
    name: str = Field(description="the tool's name, or the model's")
    args: Any = None
    args_ref: str = Field(default="", description="id of an offloaded payload that holds the args")
    effect: Effect = Effect.PURE
    idempotency_key: str = Field(description="the same for every attempt of the step")
    timeout: float = Field(description="seconds that one attempt may take")
    probe: bool = Field(default=False, description="find out what became of this attempt, and do nothing else")
    published_at: float = Field(description="seconds since the epoch")
    again: bool = Field(default=False, description="a worker handed it back and sent it anew; its owner is asked first")
    traceparent: str = ""

    @property
    def needs_permit(self) -> bool:
        """Whether its owner is asked first: it is dear, or not to be repeated, or another attempt may have ended it, or
        be under way.
        """
        dear = self.kind == "llm" or self.effect is Effect.UNSAFE
        return not self.probe and (dear or self.attempt > 1 or self.again)


class Outcome(Message):
    """What came back from an attempt of a step: either ``error`` is set, or ``value`` is the result."""

    tenant: str
    instance: str
    agent: str
    run: str
    step: str
    attempt: int
    worker: str = ""
    execution: str = ""
    effect: Effect = Field(default=Effect.PURE, description="that of the item")
    probe: bool = Field(default=False, description="it was found out afterwards; that of the item")
    value: Any = None
    value_ref: str = Field(default="", description="id of an offloaded payload that holds the value")
    error: dict[str, Any] | None = Field(
        default=None,
        description='{"type", "message", "retryable"}; "unknown": true when an unsafe step may have taken effect; '
        'of the type "NotHappened" when a probe found that it did not; of the type "NotBegun", with "probe", when this '
        "execution was let begin, did not, and never will",
    )
    unsafe: str = Field(default="", description="of a run that was asked: its step whose effect may not repeat")
    usage: dict[str, Any] | None = Field(
        default=None, description='{"model", "input_tokens", "output_tokens", "cost_usd", "duration_s"}'
    )

    @classmethod
    def read_all(cls, data: bytes) -> list[Self]:
        """The outcome in ``data``, or the several: a message may hold an array of them.

        Raises:
            NotAMessage: one of them is none, or there is none.
        """
        value = cls._loaded(data)
        return [cls._of(each) for each in value] if value and isinstance(value, list) else [cls._of(value)]


class PermitRequest(Message):
    """May this execution of this attempt begin?"""

    tenant: str
    instance: str
    agent: str
    run: str
    step: str
    attempt: int
    epoch: int
    worker: str
    execution: str = Field(description="an id of this one execution; the same id gets the same answer")


class PermitAnswer(Message):
    """``go``; ``refused`` is final (acknowledge the item); ``later`` means hand the item back.

    No answer at all may have been, or become, ``go``.
    """

    answer: Literal["go", "refused", "later"]
    reason: str = ""
    begin_within: float | None = Field(
        default=None, description="seconds, from the asking, in which to begin; null without a limit"
    )


class Heartbeat(Message):
    """A worker's sign of life and of progress, on the core subject ``heartbeat.<worker>``."""

    worker: str
    kind: Literal["agents", "tools", "llm", "supervisor", "gateway", "sensors"]
    app: str = ""
    tenant: str = ""
    host: str
    pid: int
    started_at: float
    progress: int = Field(default=0, description="grows with every unit of work done")
    held: int = Field(default=0, description="instances held, or work items under way")
    draining: bool = False


class StreamChunk(Message):
    """A piece of a live stream on ``stream.<run>``; its id is ``version.attempt.seq``."""

    run: str
    step: str
    version: int
    attempt: int
    seq: int
    kind: Literal["token", "progress"] = "token"
    text: str = ""
    data: Any = None

    @property
    def id(self) -> str:
        return f"{self.version}.{self.attempt}.{self.seq}"


class AlarmSet(Message):
    """A timer was set that falls due in so many ``seconds``. Losing it costs latency, never data."""

    seconds: float = Field(ge=0, le=3600)


class RunEnded(Message):
    """A hint on the core subject ``ended.<run>``, for those who wait; Postgres holds the fact."""

    run: str
    status: str


BUS_BODIES: tuple[type[Message], ...] = (
    Wake, WorkItem, Outcome, PermitRequest, PermitAnswer, Heartbeat, StreamChunk, AlarmSet, RunEnded,
)  # fmt: skip
