"""The names on the bus: every subject and stream that Trunkline uses, in one place.

A subject is ``<namespace>.<tenant>.<what>…``, or ``<namespace>.heartbeat|worker.<worker>…`` for what belongs to a
process, or ``<namespace>.alarm``. Tenants, agents, apps, tools, pools and workers are names that fit into one token
(``ids.check_name``); an event type is several tokens; instance keys never appear. Wildcards pass, for those who
subscribe.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stream(StrEnum):
    """The JetStream streams, without the namespace's prefix."""

    EVENTS = "EVENTS"
    INBOX = "INBOX"
    WORK = "WORK"
    REPLY = "REPLY"
    STREAM = "STREAM"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Subjects:
    """The names in one ``namespace``."""

    namespace: str

    # --- streams ----------------------------------------------------------------------------------------------------

    def stream_name(self, stream: str) -> str:
        """What ``stream`` is called on the server."""
        return f"{self.namespace.upper()}_{stream}"

    def event(self, tenant: str, event_type: str) -> str:
        """EVENTS: a CloudEvent; its type's tokens end the subject."""
        return f"{self.namespace}.{tenant}.event.{event_type}"

    def inbox(self, tenant: str, agent: str) -> str:
        """INBOX: a ``Wake`` for any worker of ``agent``."""
        return f"{self.namespace}.{tenant}.inbox.{agent}"

    def tool(self, tenant: str, app: str, name: str) -> str:
        """WORK: a ``WorkItem`` for the tool ``name`` of ``app``."""
        return f"{self.namespace}.{tenant}.work.tool.{app}.{name}"

    def llm(self, tenant: str, pool: str) -> str:
        """WORK: a ``WorkItem`` for the LLM workers of ``pool``."""
        return f"{self.namespace}.{tenant}.work.llm.{pool}"

    def reply(self, tenant: str, worker: str) -> str:
        """REPLY: ``Outcome`` messages for the agent worker ``worker``."""
        return f"{self.namespace}.{tenant}.reply.{worker}"

    def stream(self, tenant: str, run: str) -> str:
        """STREAM: ``StreamChunk`` messages of ``run``."""
        return f"{self.namespace}.{tenant}.stream.{run}"

    # --- core, not stored -------------------------------------------------------------------------------------------

    def heartbeat(self, worker: str) -> str:
        """``Heartbeat`` messages of a process."""
        return f"{self.namespace}.heartbeat.{worker}"

    def probe(self, worker: str) -> str:
        """A supervisor's own ``Heartbeat``, by which it proves its sight: for who listens to all that lies below."""
        return f"{self.namespace}.heartbeat.{worker}.probe"

    def alarm(self) -> str:
        """An ``AlarmSet`` for the supervisor that leads."""
        return f"{self.namespace}.alarm"

    def worker_wake(self, worker: str) -> str:
        """A ``Wake`` for the worker that holds the instance."""
        return f"{self.namespace}.worker.{worker}.wake"

    def worker_permit(self, worker: str) -> str:
        """A ``PermitRequest`` for the worker that holds the instance; it answers with a ``PermitAnswer``."""
        return f"{self.namespace}.worker.{worker}.permit"

    def permit(self, tenant: str, agent: str) -> str:
        """A ``PermitRequest`` for any worker of ``agent``, which answers or forwards it to the owner."""
        return f"{self.namespace}.{tenant}.permit.{agent}"

    def ended(self, tenant: str, run: str) -> str:
        """A ``RunEnded`` hint for whoever waits for ``run``."""
        return f"{self.namespace}.{tenant}.ended.{run}"

    def cancel(self, tenant: str, run: str) -> str:
        """Stop what still runs for a step of ``run``: ``{"step": key}``. Best effort."""
        return f"{self.namespace}.{tenant}.cancel.{run}"

    # --- what a stream takes ----------------------------------------------------------------------------------------

    def taken_by(self, stream: Stream) -> list[str]:
        """The subjects that ``stream`` stores."""
        if stream is Stream.DEAD:
            ours = (self.stream_name(each) for each in Stream if each is not Stream.DEAD)
            kinds = ("MAX_DELIVERIES", "MSG_TERMINATED")
            return [f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{name}.>" for name in ours for kind in kinds]
        tail = {
            Stream.EVENTS: "event.>",
            Stream.INBOX: "inbox.*",
            Stream.WORK: "work.>",
            Stream.REPLY: "reply.*",
            Stream.STREAM: "stream.*",
        }[stream]
        return [f"{self.namespace}.*.{tail}"]

    def stored_in(self, subject: str) -> Stream | None:
        """The stream that stores ``subject``, which has no wildcards; ``None`` for a core subject."""
        tokens = subject.split(".", 3)
        if len(tokens) < 4 or tokens[0] != self.namespace:
            return None
        return _BY_TOKEN.get(tokens[2])


_BY_TOKEN = {
    "event": Stream.EVENTS,
    "inbox": Stream.INBOX,
    "work": Stream.WORK,
    "reply": Stream.REPLY,
    "stream": Stream.STREAM,
}
