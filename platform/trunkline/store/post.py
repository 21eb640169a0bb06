"""Envelopes as columns of arrays: what ``accept`` and ``append`` insert alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from trunkline.domain.codec import dumps
from trunkline.domain.deadlines import LAST
from trunkline.domain.ids import check_key
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.store.arrays import Array, Bools, Ids, Texts

STARTS_RUN = (EnvelopeKind.REQUEST, EnvelopeKind.EVENT)


class Letter(NamedTuple):
    """One envelope, encoded."""

    tenant: str
    instance: str
    agent: str
    key: str
    message_id: str
    kind: str
    run: str | None
    body: bytes
    digest: str
    parent: str | None
    handler: str
    input: bytes | None
    deadline: str | None
    starts: bool


def encode(envelope: Envelope) -> Letter:
    """Check and encode ``envelope``.

    Raises:
        BadKey: the instance key is not legal.
        NotJson: the body has no JSON form.
    """
    check_key(envelope.key)
    starts = envelope.kind in STARTS_RUN and bool(envelope.run)
    body, given = _bodies(envelope.body) if starts else (dumps(envelope.body, what="the body"), None)
    return Letter(
        tenant=envelope.tenant,
        instance=envelope.instance,
        agent=envelope.agent,
        key=envelope.key,
        message_id=envelope.message_id,
        kind=str(envelope.kind),
        run=envelope.run or None,
        body=body,
        digest=envelope.digest,
        parent=envelope.parent_run or None,
        handler=str(envelope.body.get("handler") or "") if starts else "",
        input=given,
        deadline=moment(envelope.body.get("deadline")) if starts else None,
        starts=starts,
    )


def _bodies(body: dict[str, Any]) -> tuple[bytes, bytes]:
    """The JSON of a body that begins a run, and of the input in it, which is written once."""
    given = dumps(body.get("input"), what="the input")
    rest = dumps({name: value for name, value in body.items() if name != "input"}, what="the body")
    return b'{"input":%b%b' % (given, b"}" if rest == b"{}" else b"," + rest[1:]), given


COLUMNS = "tenant, instance, agent, key, message_id, kind, run, body, digest, parent, handler, input, deadline, starts"
PARAMETERS = ", ".join(f"%({name})s" for name in Letter._fields)
_ARRAYS: dict[str, type[Array]] = {"instance": Ids, "run": Ids, "parent": Ids, "starts": Bools}


def moment(seconds: float | None) -> str | None:
    """Seconds since the epoch as the statements take them: no later than what Postgres can say."""
    return None if seconds is None else repr(min(float(seconds), LAST))


def columns(letters: Iterable[Letter]) -> dict[str, Array]:
    """The letters as one array a column, by the column's name."""
    return {
        name: _ARRAYS.get(name, Texts)(column)
        for name, column in zip(Letter._fields, zip(*letters, strict=True), strict=True)
    }
