"""Every error Trunkline raises on purpose. The docstring is the message; it says what to do about it.

``str(error)`` is the docstring filled in with the keyword arguments, so the text stands in one place. ``code`` is the
stable, machine-readable name (it becomes the ``type`` of an RFC 9457 problem document and the ``type`` of a journalled
failure); ``status`` is the HTTP status that the gateway answers with.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar


class TrunklineError(Exception):
    """Something went wrong in Trunkline."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        template = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(template.format(**fields))


# --- input that cannot be taken -------------------------------------------------------------------------------------


class BadName(TrunklineError):
    """{value!r} is not a legal {kind} name: use 1 to 64 ASCII letters, digits, "_" or "-", starting with a letter."""

    status = 422


class BadKey(TrunklineError):
    """The instance key {value!r} is not legal: {reason}. A key is 1 to 512 bytes of UTF-8 text without NUL."""

    status = 422


class BadDuration(TrunklineError):
    """{value!r} is not a duration: write seconds as a number, a timedelta, or text such as "30s", "5m", "2h", "2d"."""

    status = 422


class NotJson(TrunklineError):
    """{what} cannot be encoded as JSON: {reason}. Pass JSON values, pydantic models, dataclasses or dates."""

    status = 422


class NotUnderstood(TrunklineError):
    """{what}: {reason}."""

    status = 422


class BadJson(TrunklineError):
    """{what} is not acceptable JSON: {reason}."""

    status = 400


class NotAMessage(TrunklineError):
    """This is not {what}: {reason}."""

    status = 400


class PayloadTooLarge(TrunklineError):
    """{what} has {size} bytes and the limit is {limit}. Send less, or keep the bulk elsewhere and send a reference."""

    status = 413


class BadEvent(TrunklineError):
    """Not a CloudEvents 1.0 event: {reason}. See https://github.com/cloudevents/spec/blob/v1.0.2."""

    status = 422


class NoInstanceKey(BadEvent):
    """The event names no instance of agent {agent!r}, which subscribes to it: {reason}."""


class BadInput(TrunklineError):
    """The input of {target} does not fit its type: {reason}."""

    status = 422


class BadOutput(TrunklineError):
    """What {target} returned does not fit its annotation: {reason}. Return that type, or change the annotation."""


# --- things that are not there, or not so ---------------------------------------------------------------------------


class UnknownAgent(TrunklineError):
    """There is no agent {agent!r}. Known: {known}. Start a worker that declares it: trunkline worker agents APP."""

    status = 404


class UnknownTool(TrunklineError):
    """There is no tool {tool!r}. Known: {known}. Declare it with @app.tool and start: trunkline worker tools APP."""

    status = 404


class UnknownVersion(TrunklineError):
    """Agent {agent!r} has no definition {version}. See: trunkline definitions list {agent}"""

    status = 404


class NotDeployable(TrunklineError):
    """Agent {agent!r} would use {tools}, which no worker has declared. Start workers with the new code first: tools are
    code; then deploy."""

    status = 409


class NothingToRollBack(TrunklineError):
    """There is no earlier version to go back to. See: trunkline definitions list"""

    status = 409


class UnknownRun(TrunklineError):
    """There is no run {run!r} in this tenant. List runs with: trunkline runs list."""

    status = 404


class UnknownInstance(TrunklineError):
    """Agent {agent!r} has no instance with the key {key!r} in this tenant."""

    status = 404


class NotParked(TrunklineError):
    """Run {run} is {status}, and only a parked run can be resolved."""

    status = 409


class NotRedrivable(TrunklineError):
    """The dead letter {id!r} cannot be redriven: {reason}. It can be discarded."""

    status = 409


class UnknownApproval(TrunklineError):
    """No run waits for the approval {id!r}: it was decided, it expired, or its run has ended."""

    status = 404


class UnknownDeadLetter(TrunklineError):
    """There is no dead letter {id!r} in this tenant. List them with: trunkline dead-letters list."""

    status = 404


class RunEnded(TrunklineError):
    """Run {run!r} has ended ({status}); it takes no more signals and cannot be cancelled."""

    status = 409


class MailboxFull(TrunklineError):
    """{agent}/{key} has {most} letters that it has not taken up yet, and takes no more. Try again later."""

    status = 429


class AlreadyDecided(TrunklineError):
    """Approval {id} was decided otherwise before. A decision stands."""

    status = 409


class IdempotencyConflict(TrunklineError):
    """The idempotency key {key!r} was used before with a different body. Use a new key, or repeat the same body."""

    status = 409


class InstanceBusy(TrunklineError):
    """Instance {key!r} of agent {agent!r} is busy with a run, and its on_busy policy is "reject". Try again later."""

    status = 409


class Unauthorized(TrunklineError):
    """No valid API key was sent. Send "Authorization: Bearer KEY" with a key from TRUNKLINE_API_KEYS."""

    status = 401


class Unavailable(TrunklineError):
    """{what} cannot be reached: {reason}. The call was not accepted; try again."""

    status = 503


class NobodyListens(Unavailable):
    """Nobody listens on {what} just now. The call was not accepted; try again."""


class ServerEnded(TrunklineError):
    """The embedded {name} has ended, and is not started again. Its last words: {said}"""


class Busy(TrunklineError):
    """{inside} requests are being taken in, and no more just now. Nothing of this one was accepted: come again in a
    moment.
    """

    status = 503


class AgentBusy(TrunklineError):
    """More runs of agent {agent} wait than its workers have room for. Nothing of this one was accepted: come again in a
    moment, or start more workers.
    """

    status = 503


class TenantBusy(TrunklineError):
    """{inside} requests of this tenant are being taken in, which is its share. Nothing of this one was accepted: come
    again in a moment.
    """

    status = 429


# --- the rules of the exchange --------------------------------------------------------------------------------------


class Fenced(TrunklineError):
    """Instance {instance} is no longer held by this worker at epoch {epoch} and head {head}; its append was refused."""


class WorkerDead(TrunklineError):
    """Worker {worker} was declared dead, has left, or never joined: it may hold nothing. Start it again."""


class AppendRefused(TrunklineError):
    """The entries of instance {instance} were refused by Postgres: {reason}. Other appends were not affected."""


class JournalCorrupt(TrunklineError):
    """The journal of instance {instance} is not usable: {reason}. It is left untouched; look at it by hand."""


class SnapshotUnusable(TrunklineError):
    """The snapshot of instance {instance} is not usable: {reason}."""


class RetentionRefused(TrunklineError):
    """Nothing may be removed from {what}: {reason}. As a superuser, grant {role} to the supervisor's database role."""


class ErasureRefused(TrunklineError):
    """Nothing was erased: {reason}. As a superuser, grant {role} to this process's database role."""


class TookTooLong(TrunklineError):
    """It was given up, and nothing of it was done: {what}, within {seconds} s."""


class Diverged(TrunklineError):
    """The code no longer does what the journal of run {run} recorded: {difference}. Put the old code back, or cancel
    the run."""


class NotDurable(TrunklineError):
    """The handler of {agent} awaited {what}, which is not from ctx and would be lost in a crash. Put it into a step:
    await ctx.step(fn, ...), or a tool: await ctx.call(tool, ...)."""


class ContextClosed(TrunklineError):
    """This Context is no longer in use: its run has ended or moved to another worker."""


class TooManySteps(TrunklineError):
    """The handler of {agent} asked for more than {limit} steps without waiting for any: it seems to go round in a loop.
    Await something in between, or do the work in one tool."""


class WaitsForItself(TrunklineError):
    """The handler of {agent} waits for something that can never come: none of its steps is open any more. Await steps
    and groups only where they are not waiting for the awaiting code itself."""


class AskCycle(TrunklineError):
    """Asking {agent}/{key} from here would wait for ever: that instance is itself waiting for this run ({path})."""


class TopologyDrift(TrunklineError):
    """JetStream stream {stream} is configured differently than this version needs: {difference}. Mend it with:
    nats stream edit {stream}, or delete the stream while nothing runs; Postgres re-issues what it held."""


class SchemaMismatch(TrunklineError):
    """The database schema is at {found} and this version needs {needed}. Run: trunkline migrate."""


class NotConfigured(TrunklineError):
    """{what} is not set. {fix}"""


class BadDeclaration(TrunklineError):
    """{what}: {reason}. {fix}"""


# --- what a handler sees when a step fails --------------------------------------------------------------------------


class StepError(TrunklineError):
    """Step {key} failed: {type}: {message}"""

    @property
    def type(self) -> str:
        """The name of the error where it happened, e.g. ``ValueError`` or ``TimedOut``."""
        return str(self.fields["type"])

    @property
    def message(self) -> str:
        return str(self.fields["message"])


class ToolFailed(StepError):
    """Tool step {key} failed: {type}: {message}"""


class ModelFailed(StepError):
    """Model call {key} failed: {type}: {message}"""


class AskFailed(StepError):
    """Asked run {key} did not complete: {type}: {message}"""


class TimedOut(StepError):
    """Step {key} got no answer in time: {message}"""


class TurnsExhausted(TrunklineError):
    """Agent {agent!r} has made {turns} model calls and has no answer yet. Raise max_turns=, or give it less to do."""


class NoAnswer(TrunklineError):
    """The model of agent {agent!r} gave no acceptable answer in {attempts} attempts; the last one: {reason}."""


class RestartsExhausted(TrunklineError):
    """{what} was {how}. Its last end: {type}: {message}"""


class RunFailedError(TrunklineError):
    """Run {run} ended as {status}: {type}: {message}"""

    code = "run-failed"


class NotEnded(TrunklineError):
    """Run {run} is {status}{why}. Wait longer, or follow its events."""

    status = 409


class RunCancelled(BaseException):
    """Thrown into a handler at its current await when the run is cancelled; clean up, and let it pass."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
