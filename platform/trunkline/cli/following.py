"""``trunkline run --follow``: what happens in a run, as it happens, until it ends."""

from __future__ import annotations

from typing import Any

from trunkline.access.transcript import RunEvent
from trunkline.cli import output, remote, views
from trunkline.cli.failures import FAILED, OK
from trunkline.client.http import Http
from trunkline.domain.status import RunStatus

PATIENCE = 60.0  # seconds that the gateway may be away


def follow(run: str, *, as_json: bool) -> int:
    """Show every event once, then the run; 0 if it completed. A parked run is not waited for: somebody must free it.

    Raises:
        Unavailable: the gateway was away for ``PATIENCE`` seconds.
    """
    place = f"/v1/runs/{remote.segment(run)}"
    tell = _as_json if as_json else views.Follower().event

    async def to_the_end(http: Http) -> dict[str, Any]:
        async for event in http.events(f"{place}/events"):
            tell(event)
            if event.type == "status" and event.data["status"] == RunStatus.PARKED:
                break
        found: dict[str, Any] = await http.get(place)
        return found

    found = remote.asked(to_the_end, patience=PATIENCE)
    if as_json:
        output.document(found)
    else:
        views.run(found)
    return OK if found["status"] == RunStatus.COMPLETED else FAILED


def _as_json(event: RunEvent) -> None:
    output.document({"event": event.type, **event.data})
