"""What a person does about runs that are parked because nobody knows whether a step took effect: look, and say."""

from __future__ import annotations

from typing import Any

from chaos.exchange import Exchange
from trunkline.domain.ids import derived_id

_UNKNOWN = """
select r.id::text, coalesce(r.input->>'number', r.input->'data'->>'number'), s.body->>'key', (s.body->>'attempt')::int
from runs r join journal s on s.instance = r.instance and s.run = r.id and s.type = 'StepStarted'
where r.status = 'parked' and r.parked_reason = 'outcome-unknown' and not exists (
    select from journal e where e.instance = s.instance and e.run = s.run and e.body->>'key' = s.body->>'key'
    and e.version > s.version)
"""


async def repaired(running: Exchange) -> None:
    """Resolve every run whose step's outcome is unknown, as the ledger outside says."""
    done = {(one.key, one.attempt) for one in running.effects()}
    said: list[tuple[str, Any, str]] = []
    for run, number, step, attempt in await running.ask(_UNKNOWN):
        happened = (derived_id("step", run, step), attempt) in done
        truth: dict[str, Any] = {"outcome": "again"}
        if happened:
            truth = {"outcome": "happened", "value": f"shipped {number}"}
        said.append((f"/v1/runs/{run}/resolve", truth, f"{run} {step} {attempt}"))
    await running.post(said)
