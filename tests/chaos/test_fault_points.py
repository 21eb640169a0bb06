"""Death in every crash window: between each two things that cannot become true together (ARCHITECTURE.md)."""

from __future__ import annotations

import pytest

from chaos.killing import a_worker_dies_at


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        ("mailbox-committed", "agents"),
        ("lease-taken", "agents"),
        ("step-scheduled", "agents"),
        ("item-published", "tools"),
        ("executed", "tools"),
        ("outcome-published", "tools"),
        ("outcome-received", "agents"),
        ("commit-sent", "agents"),
        ("run-completed", "agents"),
    ],
)
async def test_nothing_is_lost_and_nothing_recorded_is_done_again(point: str, kind: str) -> None:
    await a_worker_dies_at(point, kind)
