"""Mail that comes too late, or can have no effect, is kept as a dead letter in the commit that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain.mail import Mail
from trunkline.store.append import DeadLetter
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def discard(activation: Activation, letter: Mail, turn: Turn, reason: str) -> None:
    turn.more.taken.append(letter.seq)
    turn.more.dead.append(
        DeadLetter(
            tenant=activation.lease.tenant,
            source="mailbox",
            reason=reason,
            subject=f"{activation.lease.agent}/{activation.lease.key}",
            body={"kind": letter.kind, "run": letter.run, "message_id": letter.message_id, "body": letter.body},
        )
    )
