"""Snapshots: written in a commit that leaves an instance without an open run, or with one whose handler begins anew,
when its journal has grown enough.

So what an activation reads is bounded: at most as many entries as ``snapshot_after`` says, or as the conversation has
messages (which is read in any case), and those of the runs since. Each snapshot costs what the whole conversation does;
waiting for as many entries as it has messages keeps that in proportion to what was appended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain.snapshot import MOST_BYTES, HeldRun, Snapshot
from trunkline.domain.usage import Usage
from trunkline.observe import logs, metrics
from trunkline.store.append import SnapshotMade
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

log = logs.get("activation")


def remember(activation: Activation, turn: Turn, anew: Live | None = None) -> None:
    """Call it behind the entry that ends a run, or with which the run ``anew`` begins anew: the snapshot is as of that
    entry, whatever else the turn begins.
    """
    version = activation.version_after(turn)
    due = max(activation.office.settings.snapshot_after, len(activation.conversation))
    if version - activation.covered < due or any(live is not anew for live in activation.runs.values()):
        return
    held = _held(anew) if anew is not None else None
    activation.covered = version
    # Encoded at once: a run that begins later in this turn may change what it is made of.
    snapshot = Snapshot(version, activation.state, list(activation.conversation), held)
    body = snapshot.encode(activation.lease.instance)
    if len(body) > MOST_BYTES:
        log.warning("too large for a snapshot", instance=activation.lease.instance, size=len(body), limit=MOST_BYTES)
        return
    turn.snapshot = SnapshotMade(version, body)
    turn.after.append(metrics.snapshots.labels(event="written").inc)


def _held(anew: Live) -> HeldRun:
    assert anew.driver is not None
    return HeldRun(anew.started, anew.driver.life, anew.usage or Usage(), anew.late)
