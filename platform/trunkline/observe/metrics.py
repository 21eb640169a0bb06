"""Every metric of every process, in one place. Labels are bounded: enums, declared names, and at most 100 models.

Instance keys, run ids and event types never become labels. Names end in their unit; durations are seconds.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry(auto_describe=True)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_MAX_MODELS = 100

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"trunkline_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"trunkline_{name}", what, labels, registry=REGISTRY)


def _histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"trunkline_{name}", what, labels, buckets=buckets, registry=REGISTRY)


# --- runs and steps -------------------------------------------------------------------------------------------------
runs = _counter(
    "runs", "Runs that came to this status: started, completed, failed, cancelled, parked, resumed.", "status"
)
run_seconds = _histogram("run_seconds", "From a run's start to its end.", _SLOW, "status")
restarts = _counter("restarts", "Runs that were begun again, by reason: failed, returned.", "reason")
parked = _counter("parked", "Runs that were parked, by reason.", "reason")
steps = _counter("steps", "Steps that got their one outcome: completed, failed, cancelled.", "kind", "outcome")
step_seconds = _histogram("step_seconds", "From a tool or model step's issue to its outcome.", _SLOW, "kind")
redispatches = _counter("redispatches", "Steps issued again, by reason: failed, takeover, wiped, stalled.", "reason")
tokens = _counter("tokens", "Tokens of model calls, by direction: input, output.", "model", "direction")
cost_usd = _counter("cost_usd", "What model calls cost, in US dollars, where the price is known.", "model")

# --- agent workers --------------------------------------------------------------------------------------------------
activations = _gauge("activations", "Instances in this worker's memory.")
listeners = _gauge("listeners", "Clients that follow runs here.")
leases_held = _gauge("leases_held", "Leases that this worker holds.")
leases = _counter("leases", "What became of leases: taken, refused, released, fenced.", "event")
evictions = _counter("evictions", "Sleeping instances that left memory, by reason: age, memory, full.", "reason")
commit_appends = _histogram("commit_appends", "Appends that went into one group commit.", _SIZES)
commit_entries = _histogram("commit_entries", "Journal entries that went into one group commit.", _SIZES)
commit_seconds = _histogram("commit_seconds", "Time of one group commit.", _FAST)
snapshots = _counter("snapshots", "Snapshots of instances: written, unusable (passed over).", "event")
heartbeats = _counter("heartbeats", "Heartbeats sent.", "kind")

# --- blocked event loops, in any process ----------------------------------------------------------------------------
blocked_seconds = _histogram(
    "blocked_seconds",
    "Blocks of the event loop that ended by themselves, by the agent or tool whose code it was (empty: nobody's).",
    (0.5, 1, 2, 5, 10, 30),
    "kind",
    "name",
)

# --- tool and LLM workers -------------------------------------------------------------------------------------------
executions = _counter(
    "executions",
    "Work items by what became of them: done, failed, refused, handed_back, told_again.",
    "kind",
    "outcome",
)
execution_seconds = _histogram("execution_seconds", "Time of one execution in a worker.", _SLOW, "kind")
redelivered = _counter("redelivered", "Work items that had been delivered before.", "kind")

# --- router, sensors, gateway ---------------------------------------------------------------------------------------
events = _counter("events", "Events that the router read: accepted, duplicate, unrouted, bad.", "outcome")
dead_letters = _counter("dead_letters", "What could not be handled and was kept, by source.", "source")
sensed = _counter("sensed", "Events that a sensor published.", "sensor")
sensor_failures = _counter("sensor_failures", "Times that a sensor failed and was begun again.", "sensor")
accept_group = _histogram("accept_group", "Requests that were accepted by one commit.", _SIZES)
inside = _gauge("accepts_inside", "Requests that the gateway is taking in: not committed yet.")
shed = _counter("shed", "Requests that the gateway sent away, by reason: busy, bytes, tenant, backlog.", "reason")
http_requests = _counter("http_requests", "Requests to the gateway, by route template.", "method", "route", "status")
http_seconds = _histogram("http_seconds", "Time until a response began.", _SLOW, "method", "route")

# --- supervisor -----------------------------------------------------------------------------------------------------
leading = _gauge("leading", "1 while this supervisor leads.")
still_instances = _gauge("still_instances", "Instances whose mail or runs lay still at the leader's last look.")
queue_messages = _gauge("queue_messages", "Messages that wait in a stream for whoever reads it.", "stream")
workers = _gauge("workers", "Workers on the roster of the leader.")
deaths = _counter("deaths", "Workers declared dead.")
reclaimed = _counter("reclaimed", "Instances freed from dead workers.")
blocking = _counter("blocking", "Instances set aside because their code blocked a worker that died of it.", "agent")
reconciled = _counter("reconciled", "Instances woken because their mail or their runs lay still.")
alarms = _counter("alarms", "Timers that fired.")
scheduled = _counter("scheduled", "Instances that schedules gave runs to.")
late_replies = _counter("late_replies", "Outcomes read on behalf of departed workers.")
removed = _counter(
    "removed", "Rows that retention removed: journal, runs, mail, approvals, dead_letters, payloads, workers.", "kind"
)
duty_failures = _counter("duty_failures", "Times that a duty failed and was begun again.", "duty")


def model_label(model: str) -> str:
    """``model`` as a label: the first hundred names that a process meets keep theirs, all others are ``other``."""
    if model in _models or len(_models) < _MAX_MODELS:
        _models.add(model)
        return model
    return "other"


_models: set[str] = set()


def expose() -> bytes:
    """All metrics of this process in Prometheus's text format."""
    return generate_latest(REGISTRY)
