"""Many appends as one statement: arrays in, and every row joined to the fence of its instance.

``Item`` is one append, encoded when it is submitted (so that what cannot be encoded fails its caller and nobody else).
``Group`` merges the appends of one instance that follow each other into one fence, because the parts of one statement
do not see each other's work: the newest status of a run wins, and so does the newest snapshot; a timer that is set and
removed is only removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from trunkline.domain.codec import dumps
from trunkline.domain.ids import instance_id, new_id
from trunkline.domain.journal import ENTRY_TYPES
from trunkline.store.arrays import Array, BigInts, Bools, Floats, Ids, Ints, Texts
from trunkline.store.changes import Append, ApprovalAsked, BondMade, RunChange
from trunkline.store.post import columns, encode, moment
from trunkline.store.sql import Part

Row = tuple[Any, ...]
Then = Callable[[BaseException | None], None]
Kinds = dict[str, type[Array]]

_FENCES: Kinds = {
    "f_id": Ids,
    "f_owner": Texts,
    "f_writer": Ints,
    "f_epoch": BigInts,
    "f_expected": BigInts,
    "f_n": BigInts,
    "f_progress": Bools,
}
_TAKEN: Kinds = {"t_k": Ints, "t_seq": BigInts}
_RUNS: Kinds = {
    "r_k": Ints, "r_id": Ids, "r_status": Texts, "r_output": Texts, "r_error": Texts, "r_usage": Texts, "r_cost": Texts,
    "r_parked_reason": Texts, "r_parked_detail": Texts, "r_next_actions": Texts, "r_definition": Texts, "r_code": Texts,
    "r_deadline": Texts, "r_first": Texts, "r_last": Texts, "r_started": Bools, "r_ended": Bools, "r_restarted": Bools,
}  # fmt: skip
_TIMERS: Kinds = {"s_k": Ints, "s_run": Ids, "s_step": Texts, "s_delay": Floats}
_DONE: Kinds = {"d_k": Ints, "d_instance": Ids, "d_run": Ids, "d_step": Texts}
_APPROVALS: Kinds = {
    "a_k": Ints, "a_id": Ids, "a_key": Texts, "a_run": Ids, "a_step": Texts, "a_name": Texts, "a_subject": Texts,
    "a_digest": Texts, "a_timeout": Texts,
}  # fmt: skip
_APPROVALS_DONE: Kinds = {"o_k": Ints, "o_id": Ids}
_BONDS: Kinds = {
    "b_k": Ints, "b_run": Ids, "b_kind": Texts, "b_watcher": Ids, "b_step": Texts, "b_instance": Ids, "b_agent": Texts,
    "b_key": Texts,
}  # fmt: skip
_BONDS_DONE: Kinds = {"u_k": Ints, "u_watcher": Ids, "u_step": Texts}
_DEAD: Kinds = {
    "x_k": Ints, "x_id": Ids, "x_tenant": Texts, "x_source": Texts, "x_reason": Texts, "x_detail": Texts,
    "x_subject": Texts, "x_body": Texts, "x_attempts": Ints,
}  # fmt: skip
_SNAPSHOTS: Kinds = {"n_k": Ints, "n_version": BigInts, "n_body": Texts}


_TYPES = {name: name.encode() for name in ENTRY_TYPES}


class Item:
    """One append on its way. ``then`` is called once: when it is committed, or with the error that it came to."""

    __slots__ = ("anew", "append", "bodies", "dead", "end", "letters", "plain", "runs", "settled", "size", "then")

    def __init__(self, append: Append, then: Then) -> None:
        self.append = append
        self.then = then
        self.settled = False
        self.anew = bool(append.runs) and any(change.restarted for change in append.runs)
        self.end = append.expected + len(append.entries)
        self.bodies = [dumps(entry.body(), what=entry.TYPE) for entry in append.entries]
        self.size = sum(map(len, self.bodies))
        self.plain = not (
            append.taken
            or append.mail
            or append.runs
            or append.timers
            or append.timers_done
            or append.approvals
            or append.approvals_done
            or append.bonds
            or append.bonds_done
            or append.dead
            or append.snapshot
        )
        if not self.plain:
            self.letters = [encode(envelope) for envelope in append.mail]
            self.runs = [_run_row(append, change) for change in append.runs]
            self.dead = [(new_id(), dead, _json(dead.body)) for dead in append.dead]
            self.size += sum(len(letter.body) for letter in self.letters)
            self.size += len(append.snapshot.body) if append.snapshot else 0

    def follows(self, other: Item) -> bool:
        """Whether this append goes on exactly where ``other`` ends, under the same lease."""
        if self.anew:  # what it lets go must stand in its table, which a statement does not see of itself
            return False
        mine, before = self.append, other.append
        return mine.expected == other.end and mine.epoch == before.epoch and mine.owner == before.owner

    def on_top_of(self, other: Item) -> bool:
        """Whether this waits, and was submitted under the lease of ``other``: without that it can never be true."""
        mine, before = self.append, other.append
        return mine.instance == before.instance and mine.epoch == before.epoch and not self.settled


class Group:
    """``parameters`` and ``parts`` of the one statement that writes ``items``."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.chains: list[list[Item]] = list(_chains(items))
        self.parameters: dict[str, Array] = _arrays(_FENCES, map(_fence, self.chains))
        self.parts = Part(0)
        self.entries = self._entries()
        self._more = [(k, item) for k, chain in enumerate(self.chains, 1) for item in chain if not item.plain]
        if self._more:
            self._add(Part.TAKEN, _TAKEN, ((k, seq) for k, item in self._more for seq in item.append.taken))
            self._changes()
            self._timers()
            self._approvals()
            self._bonds()
            self._add(Part.DEAD, _DEAD, self._dead())
            self._mail()
            self._add(Part.SNAPSHOTS, _SNAPSHOTS, self._snapshots())

    def _add(self, part: Part, kinds: Kinds, rows: Iterable[Row]) -> None:
        listed = list(rows)
        if listed:
            self.parts |= part
            self.parameters.update(_arrays(kinds, listed))

    def _entries(self) -> int:
        """The journal rows, column by column: there are more of them than of all else. Returns how many."""
        fences, versions, runs, types, bodies = Ints(), BigInts(), Ids(), Texts(), Texts()
        for k, chain in enumerate(self.chains, 1):
            for item in chain:
                versions.extend(range(item.append.expected + 1, item.end + 1))
                runs.extend([entry.run for entry in item.append.entries])
                types.extend([_TYPES[entry.TYPE] for entry in item.append.entries])
                bodies.extend(item.bodies)
            fences.extend([k] * (len(versions) - len(fences)))
        if versions:
            self.parts |= Part.ENTRIES
            self.parameters.update(e_k=fences, e_version=versions, e_run=runs, e_type=types, e_body=bodies)
        return len(versions)

    def _changes(self) -> None:
        self._add(Part.RUNS, _RUNS, self._runs())
        ended = [change.run for _, item in self._more for change in item.append.runs if change.ended]
        if ended:
            self.parts |= Part.ENDS
            self.parameters["z_run"] = Ids(ended)
        anew = [change.run for _, item in self._more for change in item.append.runs if change.restarted]
        if anew:
            self.parts |= Part.ANEW
            self.parameters["y_run"] = Ids(anew)

    def _runs(self) -> Iterator[Row]:
        newest: dict[tuple[int, str], Row] = {}
        for k, item in self._more:
            for row in item.runs:
                before = newest.get((k, row[0]))
                newest[k, row[0]] = (
                    row
                    if before is None
                    else tuple(old if new is None else new for old, new in zip(before, row, strict=True))
                )
        return ((k, *row) for (k, _), row in newest.items())

    def _timers(self) -> None:
        newest: dict[tuple[int, str, str], float | None] = {}
        instances: list[str] = [chain[0].append.instance for chain in self.chains]
        for k, item in self._more:
            newest.update({(k, timer.run, timer.step): timer.delay for timer in item.append.timers})
            newest.update({(k, run, step): None for run, step in item.append.timers_done})
        self._add(Part.TIMERS, _TIMERS, ((*key, delay) for key, delay in newest.items() if delay is not None))
        done = ((k, instances[k - 1], run, step) for (k, run, step), delay in newest.items() if delay is None)
        self._add(Part.TIMERS_DONE, _DONE, done)

    def _approvals(self) -> None:
        newest: dict[tuple[int, str], ApprovalAsked | None] = {}
        for k, item in self._more:
            newest.update({(k, asked.id): asked for asked in item.append.approvals})
            newest.update({(k, id_): None for id_ in item.append.approvals_done})
        self._add(Part.APPROVALS, _APPROVALS, ((k, *_approval_row(one)) for (k, _), one in newest.items() if one))
        self._add(Part.APPROVALS_DONE, _APPROVALS_DONE, (key for key, one in newest.items() if one is None))

    def _bonds(self) -> None:
        newest: dict[tuple[int, str, str, str, str], BondMade] = {}
        for k, item in self._more:
            newest.update({(k, one.watcher, one.step, one.run, one.kind): one for one in item.append.bonds})
            done = set(item.append.bonds_done)
            newest = {key: one for key, one in newest.items() if key[0] != k or (one.watcher, one.step) not in done}
        self._add(
            Part.BONDS, _BONDS, ((key[0], *_bond_row(self.chains[key[0] - 1], one)) for key, one in newest.items())
        )
        done_rows = dict.fromkeys((k, *done) for k, item in self._more for done in item.append.bonds_done)
        self._add(Part.BONDS_DONE, _BONDS_DONE, done_rows)

    def _dead(self) -> Iterator[Row]:
        for k, item in self._more:
            for id_, dead, body in item.dead:
                yield k, id_, dead.tenant, dead.source, dead.reason, dead.detail, dead.subject, body, dead.attempts

    def _snapshots(self) -> Iterator[Row]:
        newest = {k: item.append.snapshot for k, item in self._more if item.append.snapshot}
        return ((k, snapshot.version, snapshot.body) for k, snapshot in newest.items())

    def _mail(self) -> None:
        posted = [(k, letter) for k, item in self._more for letter in item.letters]
        if posted:
            self.parts |= Part.MAIL
            self.parameters.update(columns(letter for _, letter in posted))
            self.parameters["m_k"] = Ints(k for k, _ in posted)


def _chains(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items by instance, in the order of the ids (in which rows are locked), each instance's in their own order."""
    by_instance: dict[str, list[Item]] = {}
    for item in items:
        by_instance.setdefault(item.append.instance, []).append(item)
    return (by_instance[instance] for instance in sorted(by_instance))


def _fence(chain: list[Item]) -> Row:
    first = chain[0].append
    progress = first.progress or any(item.append.progress for item in chain)
    return (
        first.instance,
        first.owner,
        writer(first.owner),
        first.epoch,
        first.expected,
        chain[-1].end - first.expected,
        progress,
    )


@cache
def writer(worker: str) -> int:
    """What the journal keeps of a worker's id: 32 bits, enough to see two writers in one epoch."""
    return int.from_bytes(sha256(worker.encode()).digest()[:4], signed=True)


def _run_row(append: Append, change: RunChange) -> Row:
    """The columns of ``_RUNS`` after the first; ``None`` leaves a column as it is."""
    return (
        change.run,
        str(change.status),
        _json(change.output),
        _json(change.error),
        _json(change.usage),
        None if change.usage is None else repr(change.cost_usd),
        change.parked_reason,
        change.parked_detail,
        dumps(list(change.next_actions)),
        str(change.definition) if change.definition else None,
        change.code or None,
        moment(change.deadline),
        str(append.expected + 1) if change.started else None,
        str(append.expected + len(append.entries)) if change.ended else None,
        change.started or None,
        change.ended or None,
        change.restarted or None,
    )


def _approval_row(asked: ApprovalAsked) -> Row:
    """The columns of ``_APPROVALS`` after the first."""
    timeout = None if asked.timeout is None else repr(asked.timeout)
    return asked.id, asked.key, asked.run, asked.step, asked.name, _json(asked.subject), asked.digest, timeout


def _bond_row(chain: list[Item], bond: BondMade) -> Row:
    """The columns of ``_BONDS`` after the first."""
    instance = instance_id(chain[0].append.tenant, bond.agent, bond.key)
    return bond.run, str(bond.kind), bond.watcher, bond.step, instance, bond.agent, bond.key


def _json(value: Any) -> bytes | None:
    return None if value is None else dumps(value)


def _arrays(kinds: Kinds, rows: Iterable[Row]) -> dict[str, Array]:
    return {name: kind(column) for (name, kind), column in zip(kinds.items(), zip(*rows, strict=True), strict=True)}
