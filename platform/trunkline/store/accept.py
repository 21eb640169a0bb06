"""Acceptance: an envelope is accepted when its mailbox row is committed, and nothing may be acknowledged before.

The same message (tenant, instance, message id) finds the same row however often it comes, and starts one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from trunkline.domain.errors import MailboxFull, RunEnded, UnknownRun
from trunkline.domain.mail import Accepted, Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.observe import faults
from trunkline.store.arrays import Bools, Ids, Texts, register_arrays
from trunkline.store.database import Connection, Database, Unreachable, quoted
from trunkline.store.post import COLUMNS, PARAMETERS, Letter, columns, encode

_BOUNDED = (EnvelopeKind.REQUEST, EnvelopeKind.EVENT, EnvelopeKind.SIGNAL)  # others answer what was asked here
_TO_A_RUN = (EnvelopeKind.SIGNAL, EnvelopeKind.CANCEL, EnvelopeKind.RESOLVE)

# One statement, so that a letter and its run become true together. A letter to a run that has ended, or never was,
# keeps the whole batch out (unless it was accepted before: a repeat is told what the first was told), and so does one
# to an instance where ``most`` letters wait: a look at so many entries of the index of untaken mail, and no more. The
# instance's own row is made by whoever takes it up: made in a caller's long transaction it would be in everybody's way.
_ACCEPT = f"""
with mail as (
    select * from unnest({PARAMETERS}, %(to_run)s, %(bounded)s) with ordinality as m({COLUMNS}, to_run, bounded, n)
),
homeless as (
    select m.n, r.status
    from mail m left join {{schema}}.runs r on r.id = m.run and r.instance = m.instance
    where m.to_run and (r.id is null or r.ended_at is not null)
      and not exists (
        select from {{schema}}.mailbox b
        where b.tenant = m.tenant and b.instance = m.instance and b.message_id = m.message_id)
),
crowded as (
    select i.instance from (select distinct instance from mail where bounded) i
    where {{schema}}.mailbox_full(i.instance, %(most)s::bigint)
),
excess as (
    select m.n from mail m join crowded using (instance)
    where m.bounded and not exists (
        select from {{schema}}.mailbox b
        where b.tenant = m.tenant and b.instance = m.instance and b.message_id = m.message_id)
),
wanted as (
    select * from mail where not exists (select from homeless) and not exists (select from excess)
),
posted as (
    insert into {{schema}}.mailbox (tenant, instance, agent, key, message_id, kind, run, body, digest)
    select tenant, instance, agent, key, message_id, kind, run, body::json, digest from wanted order by n
    on conflict do nothing
    returning instance, message_id
),
begun as (
    insert into {{schema}}.runs (id, tenant, instance, agent, key, handler, input, deadline, parent_run)
    select run, tenant, instance, agent, key, handler, input::json, to_timestamp(deadline::float8), parent
    from wanted join posted using (instance, message_id) where starts order by n
    on conflict do nothing
)
select n, true as new, null as status from wanted join posted using (instance, message_id)
union all select n, false, status from homeless
union all select n, false, 'full' from excess
"""  # noqa: S608 — constants of ours

_FIRST = """
select m.n, b.run::text, b.digest
from unnest(%(tenant)s, %(instance)s, %(message_id)s) with ordinality as m(tenant, instance, message_id, n)
join {schema}.mailbox b on b.tenant = m.tenant and b.instance = m.instance and b.message_id = m.message_id
"""


async def accept(db: Database, envelopes: Sequence[Envelope], *, most: int | None = None) -> list[Accepted]:
    """Commit ``envelopes`` in their order, all or none, and say of each what became of it.

    With ``most``, no request, event or signal is taken for an instance where so many letters wait already.

    When the answer to the commit is lost it is asked for again, once.

    Raises:
        RunEnded: a signal or cancellation is for a run that has ended.
        UnknownRun: … or for one that its instance does not have.
        MailboxFull: an instance has no room; its field ``instances`` names all of these.
        Unreachable: Postgres is away; what was sent may or may not have been accepted.
    """
    batch = _Batch(envelopes, most)
    try:
        async with db.connection() as connection:
            accepted = await _accept(connection, batch, db.schema)
    except Unreachable as error:
        if not error.sent:
            raise
        async with db.connection() as connection:
            accepted = await _accept(connection, batch, db.schema, again=True)
    await faults.reach("mailbox-committed")
    return accepted


async def accept_in(
    connection: Any, envelopes: Sequence[Envelope], *, schema: str = "public", most: int | None = None
) -> list[Accepted]:
    """The same inside the caller's own transaction, and true when that commits; the wake is the caller's to send.

    ``connection`` is psycopg's AsyncConnection, or SQLAlchemy's AsyncConnection or AsyncSession over psycopg;
    ``schema`` is where Trunkline's tables are in that database.

    Raises:
        RunEnded, UnknownRun, MailboxFull: as ``accept``; the transaction can go on.
        TypeError: it is no such connection.
    """
    return await _accept(await _driver_connection(connection), _Batch(envelopes, most), schema)


class _Batch:
    """Envelopes without repeats within the batch: ``place`` tells for each envelope which letter it is."""

    def __init__(self, envelopes: Iterable[Envelope], most: int | None = None) -> None:
        self.envelopes, self.most = list(envelopes), most
        self.letters: list[Letter] = []
        self.place: list[int] = []
        seen: dict[tuple[str, str], int] = {}
        for letter in map(encode, self.envelopes):
            place = seen.setdefault((letter.instance, letter.message_id), len(self.letters))
            if place == len(self.letters):
                self.letters.append(letter)
            self.place.append(place)

    def results(self, first: dict[int, tuple[str, str]], new: set[int]) -> list[Accepted]:
        """``first`` holds run and digest of the letters that were accepted before, ``new`` those that were not."""
        results: list[Accepted] = []
        fresh = set(new)
        for envelope, place in zip(self.envelopes, self.place, strict=True):
            letter = self.letters[place]
            run, digest = first.get(place, (letter.run or "", letter.digest))
            conflict = bool(envelope.digest and digest) and envelope.digest != digest
            results.append(Accepted(instance=letter.instance, run=run, new=place in fresh, conflict=conflict))
            fresh.discard(place)
        return results


async def _accept(connection: Connection, batch: _Batch, schema: str, *, again: bool = False) -> list[Accepted]:
    if not batch.letters:
        return []
    async with connection.cursor(row_factory=tuple_row) as cursor:
        register_arrays(cursor.adapters)
        new = await _post(cursor, batch, schema)
        first = await _first(cursor, batch.letters, set(range(len(batch.letters))) - new, schema)
    if again:  # what the lost attempt committed is new all the same
        new |= {place for place, (run, _) in first.items() if run and run == batch.letters[place].run}
    return batch.results(first, new)


async def _post(cursor: psycopg.AsyncCursor[tuple[Any, ...]], batch: _Batch, schema: str) -> set[int]:
    letters = batch.letters
    beginning = {letter.run for letter in letters if letter.starts}
    to_run = [letter.kind in _TO_A_RUN and letter.run is not None and letter.run not in beginning for letter in letters]
    bounded = [batch.most is not None and letter.kind in _BOUNDED for letter in letters]
    more = {"to_run": Bools(to_run), "bounded": Bools(bounded), "most": batch.most or 1}
    await cursor.execute(_sql(_ACCEPT, schema), {**columns(letters), **more}, prepare=False)
    new = set()
    rows = await cursor.fetchall()
    if excess := [letters[n - 1] for n, _, status in rows if status == "full"]:
        raise _full(excess, batch.most)
    for n, is_new, status in rows:
        if not is_new:
            run = letters[n - 1].run
            raise RunEnded(run=run, status=status) if status else UnknownRun(run=run)
        new.add(n - 1)
    return new


def _full(excess: list[Letter], most: int | None) -> MailboxFull:
    first = excess[0]
    return MailboxFull(agent=first.agent, key=first.key, most=most, instances={one.instance for one in excess})


async def _first(
    cursor: psycopg.AsyncCursor[tuple[Any, ...]], letters: list[Letter], places: set[int], schema: str
) -> dict[int, tuple[str, str]]:
    """Run and digest of the letters that lay there already, read after the fact: they are committed by now."""
    if not places:
        return {}
    asked = sorted(places)
    parameters = {
        "tenant": Texts(letters[place].tenant for place in asked),
        "instance": Ids(letters[place].instance for place in asked),
        "message_id": Texts(letters[place].message_id for place in asked),
    }
    await cursor.execute(_sql(_FIRST, schema), parameters, prepare=False)
    return {asked[n - 1]: (run or "", digest) for n, run, digest in await cursor.fetchall()}


@cache
def _sql(template: str, schema: str) -> bytes:
    return template.format(schema=quoted(schema).replace("%", "%%")).encode()


async def _driver_connection(connection: Any) -> Connection:
    if isinstance(connection, psycopg.AsyncConnection):
        return connection
    if not hasattr(connection, "get_raw_connection") and hasattr(connection, "get_bind"):
        connection = await connection.connection()  # an AsyncSession's
    if hasattr(connection, "get_raw_connection"):
        if not connection.in_transaction():
            await connection.begin()
        driver = (await connection.get_raw_connection()).driver_connection
        if isinstance(driver, psycopg.AsyncConnection):
            return driver
    raise TypeError(
        f"a run cannot begin in a {type(connection).__name__}: pass psycopg's AsyncConnection, or SQLAlchemy's"
        " AsyncConnection or AsyncSession over postgresql+psycopg"
    )
