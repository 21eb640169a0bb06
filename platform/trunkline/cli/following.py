"""``trunkline run --follow``: a run's journal as it grows, until the run ends."""

from __future__ import annotations

import time
from typing import Any

from trunkline.cli import output, remote, views
from trunkline.cli.failures import FAILED, OK
from trunkline.domain.errors import Unavailable
from trunkline.domain.status import RunStatus

LOOK_EVERY = 0.2  # seconds
PATIENCE = 60.0  # seconds that the gateway may be away


def follow(run: str, *, as_json: bool) -> int:
    """Show every entry once, then the run; 0 if it completed. A parked run is not waited for: somebody must free it.

    Raises:
        Unavailable: the gateway was away for ``PATIENCE`` seconds.
    """
    place = f"/v1/runs/{remote.segment(run)}"
    seen = 0
    while True:
        found = _patiently(place)  # before the journal: what ended is shown to its last entry
        seen = _show_entries(place, seen, as_json=as_json)
        status = RunStatus(found["status"])
        if status.ended or status is RunStatus.PARKED:
            break
        time.sleep(LOOK_EVERY)
    if as_json:
        output.document(found)
    else:
        views.run(found)
    return OK if status is RunStatus.COMPLETED else FAILED


def _show_entries(place: str, seen: int, *, as_json: bool) -> int:
    while True:
        page = _patiently(f"{place}/journal", after=seen)
        for entry in page["items"]:
            seen = entry["version"]
            if as_json:
                output.document(entry)
            else:
                views.entry(entry)
        if not page["next"]:
            return seen


def _patiently(path: str, **query: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return remote.get(path, **query)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY)
