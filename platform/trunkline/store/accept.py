"""Acceptance: an envelope is accepted when its mailbox row is committed, and nothing may be acknowledged before.

The same message (tenant, instance, message id) finds the same row however often it comes, and starts one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from trunkline.domain.errors import MailboxFull, RunEnded, TrunklineError, UnknownRun
from trunkline.domain.mail import Accepted, Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.observe import faults
from trunkline.store.arrays import Array, Bools, Ids, Ints, Texts, register_arrays
from trunkline.store.database import Connection, Database, Unreachable, quoted
from trunkline.store.post import COLUMNS, PARAMETERS, Letter, columns, encode

_BOUNDED = (EnvelopeKind.REQUEST, EnvelopeKind.EVENT, EnvelopeKind.SIGNAL)  # others answer what was asked here
_TO_A_RUN = (EnvelopeKind.SIGNAL, EnvelopeKind.CANCEL, EnvelopeKind.RESOLVE)

# One statement, so that a letter and its run become true together. A letter to a run that has ended, or never was,
# keeps its whole unit out (unless it was accepted before: a repeat is told what the first was told), and so does one
# to an instance where ``most`` letters wait: a look at so many entries of the index of untaken mail, and no more. The
# instance's own row is made by whoever takes it up: made in a caller's long transaction it would be in everybody's way.
# What was there before is looked up row by row (a subquery with a limit is never made a join), so that no plan, whether
# made for these letters or kept from when the tables were empty, reads a table whole.
_ACCEPT = f"""
with mail as (
    select * from unnest({PARAMETERS}, %(to_run)s, %(bounded)s, %(unit)s)
        with ordinality as m({COLUMNS}, to_run, bounded, unit, n)
),
homeless as (
    select m.n, m.unit, (select r.status from {{schema}}.runs r where r.id = m.run and r.instance = m.instance limit 1)
        as status
    from mail m
    where m.to_run
      and (select true from {{schema}}.runs r
           where r.id = m.run and r.instance = m.instance and r.ended_at is null limit 1) is null
      and {{was_there}} is null
),
crowded as (
    select i.instance from (select distinct instance from mail where bounded) i
    where {{schema}}.mailbox_full(i.instance, %(most)s::bigint)
),
excess as (
    select m.n, m.unit from mail m join crowded using (instance) where m.bounded and {{was_there}} is null
),
wanted as (
    select * from mail where unit not in (select unit from homeless) and unit not in (select unit from excess)
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

_WAS_THERE = """(
    select true from {schema}.mailbox b
    where b.tenant = m.tenant and b.instance = m.instance and b.message_id = m.message_id limit 1)"""

_FIRST = """
select m.n, b.run::text, b.digest
from unnest(%(tenant)s, %(instance)s, %(message_id)s) with ordinality as m(tenant, instance, message_id, n)
join {schema}.mailbox b on b.tenant = m.tenant and b.instance = m.instance and b.message_id = m.message_id
"""


Outcome = list[Accepted] | TrunklineError


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
    return await accept_letters(db, list(map(encode, envelopes)), most)


async def accept_letters(db: Database, letters: Sequence[Letter], most: int | None) -> list[Accepted]:
    """The same for what is encoded already."""
    batch = Batch([letters], most)
    try:
        async with db.connection() as connection:
            outcomes = await post(connection, batch, db.schema)
    except Unreachable as error:
        if not error.sent:
            raise
        async with db.connection() as connection:
            outcomes = await post(connection, batch, db.schema, again=True)
    await faults.reach("mailbox-committed")
    return _alone(outcomes)


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
    batch = Batch([list(map(encode, envelopes))], most)
    return _alone(await post(await _driver_connection(connection), batch, schema))


def _alone(outcomes: list[Outcome]) -> list[Accepted]:
    (outcome,) = outcomes
    if isinstance(outcome, TrunklineError):
        raise outcome
    return outcome


class Batch:
    """Units of letters for one statement; each unit is taken whole or not at all.

    A letter that repeats another one of the batch is sent once: ``places`` tells for each unit which letters are its.
    """

    def __init__(self, units: Sequence[Sequence[Letter]], most: int | None = None) -> None:
        self.units, self.most = units, most
        self.letters: list[Letter] = []
        self.unit_of: list[int] = []  # by place
        self.places: list[list[int]] = []
        seen: dict[tuple[str, str], int] = {}
        for number, unit in enumerate(units):
            self.places.append([])
            for letter in unit:
                place = seen.setdefault((letter.instance, letter.message_id), len(self.letters))
                if place == len(self.letters):
                    self.letters.append(letter)
                    self.unit_of.append(number)
                self.places[-1].append(place)

    def parameters(self) -> dict[str, Array]:
        letters = self.letters
        beginning = {letter.run for letter in letters if letter.starts}
        to_run = [one.kind in _TO_A_RUN and one.run is not None and one.run not in beginning for one in letters]
        bounded = [self.most is not None and letter.kind in _BOUNDED for letter in letters]
        return {**columns(letters), "to_run": Bools(to_run), "bounded": Bools(bounded), "unit": Ints(self.unit_of)}

    def results(self, number: int, first: dict[int, tuple[str, str]], new: set[int]) -> list[Accepted]:
        """What became of a unit. ``first`` holds run and digest of the letters that were accepted before, ``new``
        those that were not.
        """
        results: list[Accepted] = []
        for given, place in zip(self.units[number], self.places[number], strict=True):
            letter = self.letters[place]
            run, digest = first.get(place, (letter.run or "", letter.digest))
            conflict = bool(given.digest and digest) and given.digest != digest
            results.append(Accepted(instance=letter.instance, run=run, new=place in new, conflict=conflict))
            new.discard(place)
        return results

    def refused(self, said: Iterable[tuple[int, str | None]]) -> dict[int, TrunklineError]:
        """Why units were not taken, by their numbers. ``said`` has the place of a letter, and ``full``, or the status
        of the run that it is for.
        """
        crowded: dict[int, list[Letter]] = {}
        found: dict[int, TrunklineError] = {}
        for place, status in said:
            letter, number = self.letters[place], self.unit_of[place]
            if status == "full":
                crowded.setdefault(number, []).append(letter)
            elif status:
                found[number] = RunEnded(run=letter.run, status=status)
            else:
                found[number] = UnknownRun(run=letter.run)
        return found | {number: _full(excess, self.most) for number, excess in crowded.items()}


async def post(
    connection: Connection,
    batch: Batch,
    schema: str,
    *,
    again: bool = False,
    planned: AbstractAsyncContextManager[Any] | None = None,
) -> list[Outcome]:
    """Write a batch: of each unit, what became of its letters, or why none of them was taken (as ``accept`` raises).

    ``again`` says that it was sent before, and that its answer was lost. ``planned`` is for a connection on which it is
    sent again and again (see ``Database.planned``).
    """
    if not batch.letters:
        return [[] for _ in batch.units]
    async with connection.cursor(row_factory=tuple_row) as cursor:
        register_arrays(cursor.adapters)
        parameters = {**batch.parameters(), "most": batch.most or 1}
        async with planned or nullcontext():
            await cursor.execute(_sql(_ACCEPT, schema), parameters, prepare=planned is not None)
        rows = await cursor.fetchall()
        new = {n - 1 for n, is_new, _ in rows if is_new}
        refused = batch.refused((n - 1, status) for n, is_new, status in rows if not is_new)
        before = {place for place, number in enumerate(batch.unit_of) if number not in refused} - new
        first = await _first(cursor, batch.letters, before, schema)
    if again:  # what the lost attempt committed is new all the same
        new |= {place for place, (run, _) in first.items() if run and run == batch.letters[place].run}
    return [refused.get(number) or batch.results(number, first, new) for number in range(len(batch.units))]


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
    names = {"schema": quoted(schema).replace("%", "%%")}
    return template.format(**names, was_there=_WAS_THERE.format(**names)).encode()


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
