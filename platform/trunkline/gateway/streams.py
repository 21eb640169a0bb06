"""A run as server-sent events: what was, what is, and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from trunkline.access.transcript import Transcript
from trunkline.domain.codec import dumps
from trunkline.domain.errors import TrunklineError, Unavailable
from trunkline.gateway.desk import Desk
from trunkline.observe import logs, metrics
from trunkline.store import runs

log = logs.get("gateway")
router = APIRouter(prefix="/v1")

HEARTBEAT = 15  # seconds between two comments on a silent stream
SLOWEST = 30.0  # seconds that a reader may take for one event before it is cut off
MOST = 1000  # listeners of one process
LastEventId = Annotated[str, Header(max_length=200, description="Go on behind this event.")]


@router.get("/runs/{run}/events")
async def events(request: Request, run: str, last_event_id: LastEventId = "") -> Response:
    """A run as server-sent events: `status`, `step`, `token` and `reset`, until it has ended.

    The tokens of a step since its last `reset` are its text; they end with what is in the journal.
    """
    desk: Desk = request.app.state.desk
    tenant = desk.tenant(request)
    await runs.get(desk.db, tenant, run)
    Transcript.of(run, last_event_id)  # refuses a foreign id while there is still a status to answer with
    return stream(desk, tenant, run, last_event_id)


def wanted(request: Request) -> bool:
    """Whether the client asks for events rather than for an answer."""
    return "text/event-stream" in request.headers.get("accept", "").lower()


def stream(desk: Desk, tenant: str, run: str, after: str) -> Response:
    """The events of ``run`` behind the one with the id ``after``.

    Raises:
        Unavailable: too many listen already.
    """
    if desk.listeners >= MOST:
        raise Unavailable(what="This gateway", reason=f"{MOST} listen already")
    return EventSourceResponse(_tell(desk, tenant, run, after), ping=HEARTBEAT, send_timeout=SLOWEST, sep="\n")


async def _tell(desk: Desk, tenant: str, run: str, after: str) -> AsyncIterator[ServerSentEvent]:
    desk.listeners += 1
    metrics.listeners.set(desk.listeners)
    try:
        async for event in desk.following.events(tenant, run, after):
            yield ServerSentEvent(dumps(event.data).decode(), event=event.type, id=event.id)
    except TrunklineError as error:  # there is no status left to answer with
        log.error("a stream is broken off: %s", error)  # noqa: TRY400 - the message says it all
    finally:
        desk.listeners -= 1
        metrics.listeners.set(desk.listeners)
