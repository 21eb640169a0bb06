"""Journal entries: the facts of an instance, in the order in which they became true.

An entry is a frozen dataclass; its fields (without ``run``, which is a column) are the JSON body in Postgres. ``at`` is
the time that the handler sees (``ctx.now()``), in seconds since the epoch by Postgres's clock as the owner knows it.

*Deliveries* come from outside the handler and are applied one at a time, in journal order: ``RunStarted``,
``StepCompleted``, ``StepFailed``, ``SignalReceived``, ``CancelRequested``, ``RunResumed``. All other entries are what
the handler did in answer; they stand right behind the delivery that caused them, and a replay must produce them again.

``RunContinued`` and ``RunRestarted`` end one incarnation of the run's handler and begin the next: a replay begins
behind the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from typing_extensions import dataclass_transform

from trunkline.domain.errors import JournalCorrupt

E = TypeVar("E")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def fact(entry: type[E]) -> type[E]:
    """A dataclass that nobody changes, and that the type checker holds to be frozen. At run time it is not: to make a
    frozen one takes three times as long, and each step makes two of them.
    """
    return dataclass(slots=True, unsafe_hash=True)(entry)


@fact
class Entry:
    """One fact about one run."""

    TYPE: ClassVar[str] = ""

    run: str

    def body(self) -> dict[str, Any]:
        """The JSON body as it is stored: every field but ``run``; fields at their empty default are left out."""
        body = {}
        for name, empty in _BODY_FIELDS[type(self)]:
            value = getattr(self, name)
            if value != empty or empty is _REQUIRED:
                body[name] = value
        return body


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is journalled and sent: never a traceback."""

    type: str
    message: str
    retryable: bool = True


# --- runs -----------------------------------------------------------------------------------------------------------


@fact
class RunStarted(Entry):
    """The instance took a request, or an event for one of its handlers (``handler`` is then the event type)."""

    TYPE: ClassVar[str] = "RunStarted"

    input: Any
    at: float
    seed: str
    message_id: str
    handler: str = ""
    definition: int = 0
    code: str = ""
    parent: dict[str, Any] | None = None  # {"tenant", "agent", "key", "run", "step", "path"} of the asking run
    deadline: float | None = None  # when it is cancelled if it has not ended: the nearest of its own and its parent's
    restart: bool = True  # false where a supervisor of the asker's own decides, and not the agent's policy


@fact
class RunCompleted(Entry):
    """The handler returned. Only where a handler ends do state and conversation change."""

    TYPE: ClassVar[str] = "RunCompleted"

    output: Any
    state: Any = None  # the whole new state, when the run changed it
    conversation: list[dict[str, Any]] = field(default_factory=list)  # the messages that the run added


@fact
class RunFailed(Entry):
    """The handler raised. ``error`` holds what it raised as ``cause``, where there is more to say.

    State and conversation change only where it had returned, and may not be begun again so often.
    """

    TYPE: ClassVar[str] = "RunFailed"

    error: dict[str, Any]
    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)


@fact
class RunContinued(Entry):
    """The handler asked to be begun anew, with another input."""

    TYPE: ClassVar[str] = "RunContinued"

    input: Any
    at: float
    number: int  # of the incarnation that begins; the first is 1
    state: Any = None  # as of RunCompleted
    conversation: list[dict[str, Any]] = field(default_factory=list)
    signals: list[dict[str, Any]] = field(default_factory=list)  # untaken: {"name", "data", "at", "message_id"}


@fact
class RunRestarted(Entry):
    """The handler raised (``error``) or returned, and is begun again with its input, after ``delay`` seconds."""

    TYPE: ClassVar[str] = "RunRestarted"

    at: float
    number: int
    delay: float
    restarts: list[float]  # the times of those that count, this one included
    error: dict[str, Any] | None = None
    state: Any = None  # what it returned with, as of RunCompleted
    conversation: list[dict[str, Any]] = field(default_factory=list)
    signals: list[dict[str, Any]] = field(default_factory=list)


@fact
class RunCancelled(Entry):
    """The handler let the cancellation pass."""

    TYPE: ClassVar[str] = "RunCancelled"

    reason: str


@fact
class RunParked(Entry):
    """The run cannot go on without repair. ``actions`` are what would free it."""

    TYPE: ClassVar[str] = "RunParked"

    reason: str  # diverged | outcome-unknown | kills-its-worker | unloadable
    detail: str
    actions: list[str] = field(default_factory=list)


@fact
class RunResumed(Entry):
    """A parked run was freed."""

    TYPE: ClassVar[str] = "RunResumed"

    by: str
    at: float


@fact
class CancelRequested(Entry):
    """Somebody asked for the run's end; thrown into the handler at its current await."""

    TYPE: ClassVar[str] = "CancelRequested"

    reason: str
    at: float


# --- steps ----------------------------------------------------------------------------------------------------------


@fact
class StepScheduled(Entry):
    """The handler asked for an effect. ``args`` is its whole input as JSON; ``options`` how to carry it out."""

    TYPE: ClassVar[str] = "StepScheduled"

    key: str
    kind: str
    name: str
    args: Any = None
    options: dict[str, Any] = field(default_factory=dict)


@fact
class StepStarted(Entry):
    """A permit: the execution ``execution`` on ``worker`` may begin an unsafe step, until ``begin_by``."""

    TYPE: ClassVar[str] = "StepStarted"

    key: str
    attempt: int
    execution: str
    worker: str
    begin_by: float


@fact
class StepRetried(Entry):
    """The step is issued again as ``attempt``, after ``delay`` seconds: it failed, or its attempt was lost."""

    TYPE: ClassVar[str] = "StepRetried"

    key: str
    attempt: int
    reason: str  # failed | takeover | wiped | stalled
    delay: float = 0.0
    error: dict[str, Any] | None = None


@fact
class StepCompleted(Entry):
    """The step's one outcome."""

    TYPE: ClassVar[str] = "StepCompleted"

    key: str
    value: Any
    at: float
    attempt: int = 1
    worker: str = ""
    usage: dict[str, Any] | None = None  # tokens and cost of a model call
    unsafe: str = ""  # the step of the asked run that may not repeat


@fact
class StepFailed(Entry):
    """The step's one outcome, when there will be no further attempt."""

    TYPE: ClassVar[str] = "StepFailed"

    key: str
    error: dict[str, Any]
    at: float
    attempt: int = 1
    worker: str = ""
    usage: dict[str, Any] | None = None


@fact
class StepCancelled(Entry):
    """Nobody waits for the step any more (it lost a race, or its run is ending)."""

    TYPE: ClassVar[str] = "StepCancelled"

    key: str


@fact
class SignalReceived(Entry):
    """A named message to the run. It stays in the run's buffer until a wait takes it."""

    TYPE: ClassVar[str] = "SignalReceived"

    name: str
    data: Any
    at: float
    message_id: str


_REQUIRED = object()
ENTRY_TYPES: dict[str, type[Entry]] = {
    entry.TYPE: entry
    for entry in (
        RunStarted, RunCompleted, RunFailed, RunCancelled, RunContinued, RunRestarted, RunParked, RunResumed,
        CancelRequested,
        StepScheduled, StepStarted, StepRetried, StepCompleted, StepFailed, StepCancelled, SignalReceived,
    )
}  # fmt: skip
DELIVERIES = (RunStarted, StepCompleted, StepFailed, SignalReceived, CancelRequested, RunResumed)
SCHEMA_VERSION = 1  # of the bodies that are written now

# What brings the bodies of one schema version to the next: (entry type, body) → body. An entry is never rewritten, so
# whoever raises SCHEMA_VERSION adds the step from the version before, and keeps those that are here.
UPCASTS: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {}


def _empty(spec: Any) -> Any:
    if spec.default_factory is not MISSING:
        return spec.default_factory()
    return _REQUIRED if spec.default is MISSING else spec.default


_BODY_FIELDS = {
    entry: tuple((spec.name, _empty(spec)) for spec in fields(entry) if spec.name != "run")
    for entry in ENTRY_TYPES.values()
}


def decode(instance: str, type_: str, run: str, body: dict[str, Any], schema: int = SCHEMA_VERSION) -> Entry:
    """Build the entry that a journal row of this schema version holds.

    Raises:
        JournalCorrupt: schema or type are unknown to this version, or the body does not fit.
    """
    if schema > SCHEMA_VERSION:
        reason = f"a {type_} entry is of schema version {schema}, and this version knows {SCHEMA_VERSION}"
        raise JournalCorrupt(instance=instance, reason=reason)
    for step in range(schema, SCHEMA_VERSION):
        body = UPCASTS[step](type_, body)
    entry = ENTRY_TYPES.get(type_)
    if entry is None:
        raise JournalCorrupt(instance=instance, reason=f"entry type {type_!r} is unknown to this version")
    try:
        return entry(run=run, **body)
    except TypeError as error:
        raise JournalCorrupt(instance=instance, reason=f"a {type_} entry does not fit: {error}") from None
