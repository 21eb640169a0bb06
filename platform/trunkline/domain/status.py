"""The states of a run, and the policies that are chosen by name."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """accepted → running ⇄ waiting → completed | failed | cancelled; parked needs repair and may go on."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    WAITING = "waiting"
    PARKED = "parked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})


class StepKind(StrEnum):
    """What a step does, and so who carries it out."""

    LOCAL = "local"  # ctx.step: a function in the agent worker
    TOOL = "tool"  # ctx.call: a tool worker
    LLM = "llm"  # a model call: an LLM worker
    AGENT = "agent"  # ctx.ask: another instance
    SLEEP = "sleep"  # a timer
    WAIT = "wait"  # a signal (ctx.wait_for, ctx.approve)
    EMIT = "emit"  # an event on the bus; complete as soon as it is recorded
    SPAWN = "spawn"  # another instance, which goes on by itself; complete as soon as it is recorded
    MONITOR = "monitor"  # the end of a run


class Effect(StrEnum):
    """What repeating a tool would do to the outside world."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    UNSAFE = "unsafe"


class OnBusy(StrEnum):
    """What a request does to an instance that handles a run already."""

    QUEUE = "queue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


class Restart(StrEnum):
    """When what has ended is begun again, in the words of OTP's child specifications."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # after a failure
    TEMPORARY = "temporary"  # never


class BondKind(StrEnum):
    """What the end of a run does to whoever is bound to it."""

    MONITOR = "monitor"  # a step of the watcher's is answered
    LINK = "link"  # the watcher is cancelled, unless the run completed
    STOP = "stop"  # the watcher is cancelled


class OnParentEnd(StrEnum):
    """What becomes of a spawned run when the one that spawned it ends."""

    STOP = "stop"  # it is cancelled
    CONTINUE = "continue"  # it goes on, with its parent's deadline
    ORPHAN = "orphan"  # it never was a child


class Strategy(StrEnum):
    """Which members of a team are begun again when one fails, in the words of OTP's supervisors."""

    ONE_FOR_ONE = "one_for_one"  # that one
    ONE_FOR_ALL = "one_for_all"  # all of them
    REST_FOR_ONE = "rest_for_one"  # that one, and those that were started after it


class EnvelopeKind(StrEnum):
    """What can lie in an instance's mailbox."""

    REQUEST = "request"  # starts a run; queued behind the current one
    EVENT = "event"  # starts a handler run of @agent.on; passes by the queue
    SIGNAL = "signal"
    REPLY = "reply"  # the outcome of a step: a child run's, or one that reached a worker that does not own the instance
    TIMER = "timer"
    CANCEL = "cancel"
    RESOLVE = "resolve"  # somebody says how a parked run may go on


class Resolution(StrEnum):
    """What somebody found out about a parked run."""

    HAPPENED = "happened"  # the step took effect, and this is its result
    FAILED = "failed"  # it did not, and is not to be tried again
    AGAIN = "again"  # it did not, or what was wrong is mended: go on
