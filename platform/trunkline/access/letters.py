"""What people ask, as letters: checked, and addressed to an instance or a run of it. Nothing is sent from here."""

from __future__ import annotations

from typing import Any

from trunkline.domain.approvals import PREFIX, parts_of
from trunkline.domain.codec import digest
from trunkline.domain.errors import BadInput
from trunkline.domain.ids import check_key, derived_id, new_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, Resolution
from trunkline.store.approvals import Pending, message_id
from trunkline.store.runs import Run


def request(
    tenant: str, agent: str, key: str | None, value: Any, idempotency_key: str | None, *, deadline: float | None
) -> Envelope:
    """The letter that starts a run. Its address is derived from the idempotency key, if there is one; a repeat is told
    what the first was told, and keeps its deadline.
    """
    run = new_id()
    own = f"run-{derived_id('keyless', tenant, agent, idempotency_key) if idempotency_key else run}"
    return Envelope(
        tenant,
        agent,
        check_key(key) if key is not None else own,
        f"idem:{idempotency_key}" if idempotency_key else f"req:{run}",
        EnvelopeKind.REQUEST,
        {"input": value, "handler": "", "parent": None} | ({} if deadline is None else {"deadline": deadline}),
        run=run,
        digest=digest(value),
    )


def to_run(
    run: Run, kind: EnvelopeKind, said: dict[str, Any], idempotency_key: str | None, *, scope: str = ""
) -> Envelope:
    """A letter to the instance of ``run``, for that run. Keys of one ``scope`` and kind are told apart."""
    id_ = f"{kind}:{run.id}:{scope}:{idempotency_key or new_id()}"
    return Envelope(run.tenant, run.agent, run.key, id_, kind, said, run=run.id, digest=digest(said))


def to_instance(tenant: str, agent: str, key: str, name: str, data: Any, *, idempotency_key: str | None) -> Envelope:
    """A signal for the run that an instance handles, or for its next.

    Raises:
        BadKey, BadInput: as ``check_key`` and ``free_name``.
    """
    id_ = f"{EnvelopeKind.SIGNAL}::{free_name(name)}:{idempotency_key or new_id()}"
    said = {"name": name, "data": data}
    return Envelope(tenant, agent, check_key(key), id_, EnvelopeKind.SIGNAL, said, digest=digest(said))


def decided(tenant: str, asked: Pending, said: dict[str, Any]) -> Envelope:
    """What was decided about an approval, for the run that waits for it. There is one for each approval."""
    return Envelope(
        tenant,
        asked.agent,
        asked.key,
        message_id(asked.id),
        EnvelopeKind.SIGNAL,
        {"name": f"{PREFIX}{asked.name}:{asked.digest}", "data": said},
        run=asked.run,
        digest=digest(said),
    )


# --- what is said, checked --------------------------------------------------------------------------------------------


def free_name(name: str) -> str:
    """A signal's name, if anybody may use it: a decision is given under its id, once, and by nobody unnamed.

    Raises:
        BadInput: it is that of an approval.
    """
    if parts_of(name) is not None:
        raise BadInput(target="the signal", reason="an approval is decided with POST /v1/approvals/{id}")
    return name


def resolution(said: Any) -> dict[str, Any]:
    """How a parked run may go on; see ``trunkline.domain.mail``.

    Raises:
        BadInput: it is not understood.
    """
    outcome = said.get("outcome") if isinstance(said, dict) else None
    if outcome not in set(Resolution):
        raise BadInput(target="the resolution", reason='write {"outcome": "happened" | "failed" | "again", …}')
    if (outcome == Resolution.HAPPENED) != ("value" in said):
        raise BadInput(target="the resolution", reason='"value" (null, too) goes with "happened", and only with it')
    texts = {name: str(said[name]) for name in ("step", "reason", "by") if said.get(name)}
    return {"outcome": outcome, "value": said.get("value"), **texts}


def decision(said: Any) -> dict[str, Any]:
    """What somebody decided about an approval.

    Raises:
        BadInput: it is not understood.
    """
    approved, by = (said.get("approved"), said.get("by")) if isinstance(said, dict) else (None, None)
    if not isinstance(approved, bool) or not isinstance(by, str) or not by:
        raise BadInput(target="the decision", reason='write {"approved": true or false, "by": "who decided"}')
    return {"approved": approved, "by": by, "comment": said.get("comment")}
