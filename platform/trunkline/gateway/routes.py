"""The routes: runs, signals, events, and what is under way."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from trunkline.access import listing
from trunkline.domain.codec import dumps
from trunkline.domain.errors import BadInput
from trunkline.domain.events import parse_event
from trunkline.domain.status import RunStatus
from trunkline.gateway import streams
from trunkline.gateway.desk import Desk
from trunkline.gateway.paths import Key
from trunkline.store import family, instances, journal, runs

router = APIRouter(prefix="/v1")

LONGEST_WAIT = 300.0  # seconds
REPEATS = (
    "A repeat with the same key, tenant and route finds what was accepted first; another body is refused (409). "
    "It is remembered for as long as the run that it began, and for at least as long as retention keeps what has ended "
    "(for ever, unless `TRUNKLINE_RETENTION_DAYS` is set): a repeat that comes later begins anew."
)
LONGEST_KEY = 200  # characters
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=LONGEST_KEY, description=REPEATS)]
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the run's end.")]


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


@router.post("/agents/{agent}/runs", status_code=202)
async def start_keyless(
    request: Request, agent: str, wait: Wait = 0, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run on an instance of its own. The body is `{"input": …}`, with `"deadline"` (seconds from now, or an ISO
    8601 time) if it is to be cancelled when it has not ended by then.
    """
    return await begin(request, agent, None, wait, idempotency_key)


@router.post("/agents/{agent}/instances/{key}/runs", status_code=202)
async def start(
    request: Request, agent: str, key: Key, wait: Wait = 0, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run on the instance `key`. The body is `{"input": …}`, with `"deadline"` (seconds from now, or an ISO
    8601 time) if it is to be cancelled when it has not ended by then; the answer says 202 when it is committed.
    """
    return await begin(request, agent, key, wait, idempotency_key)


@router.get("/runs")
async def list_runs(
    request: Request,
    *,
    agent: str | None = None,
    key: str | None = None,
    status: RunStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> Response:
    """Runs, newest first."""
    desk = desk_of(request)
    tenant = desk.tenant(request)
    found, following = await runs.list_runs(
        desk.db, tenant, agent=agent, key=key, status=status, limit=limit, cursor=cursor
    )
    return as_json({"items": [asdict(run) for run in found], "next": following})


@router.get("/runs/{run}")
async def show_run(request: Request, run: str, wait: Wait = 0) -> Response:
    """One run: its status, and when it is parked the reason and the actions that would free it."""
    desk = desk_of(request)
    return as_json(asdict(await desk.following.ended(desk.tenant(request), run, wait)))


@router.get("/runs/{run}/tree")
async def show_tree(request: Request, run: str) -> Response:
    """A run with all that it spawned and asked for, and what these did, as `children`: at most 1,000 runs in 20
    generations; `more` says that there are others.
    """
    desk = desk_of(request)
    return as_json(await family.tree(desk.db, desk.tenant(request), run))


@router.get("/runs/{run}/journal")
async def show_journal(request: Request, run: str, after: int = 0) -> Response:
    """The entries of a run, in order; at most 1,000 after the version `after`."""
    desk = desk_of(request)
    tenant = desk.tenant(request)
    await runs.get(desk.db, tenant, run)
    rows = await journal.read_run(desk.db, tenant, run, after=after)
    items = [row.as_json() for row in rows]
    return as_json({"items": items, "next": rows[-1].version if len(rows) == 1000 else None})


@router.post("/runs/{run}/signals/{name}", status_code=202)
async def signal(request: Request, run: str, name: str, idempotency_key: IdempotencyKey = None) -> Response:
    """Give a run a named message; the body is its data."""
    desk = desk_of(request)
    tenant, data = desk.tenant(request), await desk.body(request)
    found = await desk.entrance.signal_run(tenant, run, name, data, idempotency_key=idempotency_key)
    return as_json({"run_id": run, "status": found.status}, 202)


@router.post("/agents/{agent}/instances/{key}/signals/{name}", status_code=202)
async def signal_instance(
    request: Request, agent: str, key: Key, name: str, idempotency_key: IdempotencyKey = None
) -> Response:
    """Give an instance a named message, for the run that it handles or the next; the body is its data."""
    desk = desk_of(request)
    tenant, data = desk.tenant(request), await desk.body(request)
    await desk.entrance.signal_instance(tenant, agent, key, name, data, idempotency_key=idempotency_key)
    return as_json({"agent": agent, "key": key}, 202)


@router.post("/runs/{run}/cancel", status_code=202)
async def cancel(request: Request, run: str, idempotency_key: IdempotencyKey = None) -> Response:
    """Ask for a run's end. The body may be `{"reason": …}`."""
    desk = desk_of(request)
    tenant, body = desk.tenant(request), await desk.body(request)
    reason = body.get("reason") if isinstance(body, dict) else None
    found = await desk.entrance.cancel(
        tenant, run, str(reason or "cancelled over HTTP"), idempotency_key=idempotency_key
    )
    return as_json({"run_id": run, "status": found.status}, 202)


@router.get("/agents")
async def list_agents(request: Request) -> Response:
    """Declared agents, with their newest version; `paused` is null, or why and since when no run of it begins."""
    desk = desk_of(request)
    return as_json({"items": await listing.agents(desk.db, desk.tenant(request)), "next": None})


@router.get("/agents/{agent}/instances/{key}")
async def show_instance(request: Request, agent: str, key: Key) -> Response:
    """An instance: its state, its conversation and its open runs."""
    desk = desk_of(request)
    view = await instances.get(desk.db, desk.tenant(request), agent, key)
    return as_json(asdict(view))


@router.delete("/agents/{agent}/instances/{key}")
async def erase_instance(request: Request, agent: str, key: Key) -> Response:
    """Erase an instance: its state, conversation, journal and mail, and what its runs were given and came to.

    Ids and times stay. Runs that were open have failed, as `Erased`, and so is told who waits for them. What comes to
    the same key later begins a fresh instance; idempotency keys that the erased one knew are forgotten with it.
    `purged` is false while the rest of a long journal, which nobody can read any more, is still being deleted.
    """
    desk = desk_of(request)
    erased = await desk.entrance.erase(desk.tenant(request), agent, key)
    return as_json({"instance": erased.instance, "erased_at": erased.erased_at, "purged": erased.purged})


@router.post("/events", status_code=202)
async def publish(request: Request) -> Response:
    """Accept a structured CloudEvent: the subscribed agents' mail is committed before the answer.

    Its `source` and `id` are what an Idempotency-Key is elsewhere: a repeat starts nothing.
    """
    desk = desk_of(request)
    tenant = desk.tenant(request)
    event = parse_event(await desk.body(request))
    return as_json({"id": event.id, "runs": await desk.entrance.publish(tenant, event)}, 202)


async def begin(request: Request, agent: str, key: str | None, wait: float, idempotency_key: str | None) -> Response:
    """Start a run, and answer when it is accepted; or, with ``wait``, when it has ended, for at most so many seconds.

    Raises:
        TrunklineError: it is not accepted.
    """
    desk = desk_of(request)
    tenant = desk.tenant(request)
    desk.backlog.check(tenant, agent)  # before the body is read: sending away has to be cheap
    body = await desk.body(request)
    if not isinstance(body, dict) or "input" not in body:
        raise BadInput(target=f"agent {agent!r}", reason='the body is not {"input": …}')
    begun = await desk.entrance.begin(
        tenant, agent, key, body["input"], idempotency_key=idempotency_key, deadline=body.get("deadline")
    )
    desk.let_out(request)
    if streams.wanted(request):
        return streams.stream(desk, tenant, begun.run, "")
    if begun.new and not wait:
        return _accepted(begun.run, RunStatus.ACCEPTED)
    found = await desk.following.ended(tenant, begun.run, wait)
    return as_json(asdict(found)) if wait and found.status.ended else _accepted(begun.run, found.status)


def _accepted(run: str, status: RunStatus) -> Response:
    links = {"self": f"/v1/runs/{run}"} | {name: f"/v1/runs/{run}/{name}" for name in ("events", "journal", "cancel")}
    return as_json({"run_id": run, "status": status, "links": links}, 202)


def as_json(body: Any, status: int = 200) -> Response:
    """The answer, by the one codec."""
    return Response(dumps(body), status_code=status, media_type="application/json")
