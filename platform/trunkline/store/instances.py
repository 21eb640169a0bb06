"""Reading instances. Their rows come when a worker first takes them up (``leases``), and others' files change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.domain.errors import JournalCorrupt, UnknownInstance
from trunkline.domain.ids import instance_id
from trunkline.store import history, pages, runs
from trunkline.store.database import Database
from trunkline.store.history import History
from trunkline.store.runs import Run


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance's row; times in seconds since the epoch by Postgres's clock."""

    id: str
    tenant: str
    agent: str
    key: str
    head: int
    owner: str | None
    epoch: int
    takeovers: int
    created_at: float
    progress_at: float


@dataclass(frozen=True, slots=True)
class View:
    """An instance as people want to see it: what its journal comes to, and what it has under way."""

    instance: Instance
    state: Any
    conversation: list[dict[str, Any]]
    open_runs: list[Run]


NO_HISTORY = History([])

_ROW = """
select id::text, tenant, agent, key, head, owner, epoch, takeovers, extract(epoch from created_at)::float8,
       extract(epoch from progress_at)::float8
"""


# One that was never taken up is known by its mail.
_KNOWN = f"""
{_ROW} from instances where id = %(id)s
union all
(select instance::text, tenant, agent, key, 0, null, 0, 0, extract(epoch from created_at)::float8,
        extract(epoch from created_at)::float8
 from mailbox where instance = %(id)s and taken_at is null order by seq limit 1)
limit 1
"""  # noqa: S608 — constants of ours


async def get(db: Database, tenant: str, agent: str, key: str) -> View:
    """State and conversation are folded from the journal as it stands now.

    Raises:
        UnknownInstance: nothing was ever accepted for it.
        JournalCorrupt: its journal is not usable.
    """
    id_ = instance_id(tenant, agent, key)
    async with db.connection() as connection:
        cursor = await connection.execute(_KNOWN, {"id": id_})
        row = await cursor.fetchone()
    if row is None:
        raise UnknownInstance(agent=agent, key=key)
    past = (await history.read(db, [id_])).get(id_, NO_HISTORY)
    if isinstance(past, JournalCorrupt):
        raise past
    folded = past.fold()
    return View(Instance(*row), folded.state, folded.conversation, await runs.open_of(db, id_))


async def list_instances(
    db: Database, tenant: str, *, agent: str | None = None, limit: int = 50, cursor: str | None = None
) -> tuple[list[Instance], str | None]:
    """The tenant's instances that were ever taken up, by agent and key, and the next page's cursor (``None``: no more).

    Raises:
        BadInput: ``cursor`` is not one that this list gave out.
    """
    conditions = ["tenant = %(tenant)s"]
    parameters = {"tenant": tenant, "agent": agent, "limit": pages.bounded(limit)}
    if agent is not None:
        conditions.append("agent = %(agent)s")
    if cursor:
        conditions.append("(agent, key) > (%(last_agent)s, %(last_key)s)")
        parameters["last_agent"], parameters["last_key"] = pages.columns_of(cursor, (str, str))
    sql = f"{_ROW} from instances where {' and '.join(conditions)} order by agent, key limit %(limit)s"
    async with db.connection() as connection:
        fetched = await connection.execute(sql, parameters)
        found = [Instance(*row) for row in await fetched.fetchall()]
    return pages.page([(instance, (instance.agent, instance.key)) for instance in found], limit)
