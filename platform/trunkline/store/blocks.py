"""Which instance's code blocks its worker. The mark is set while the worker is deaf, by a thread, and counts only when
the worker is declared dead of it: then the instance is shunned for a while (``reclaim``), so that those who were beside
it go on elsewhere before it comes.
"""

from __future__ import annotations

from trunkline.store.database import Database

# For a worker that was fenced meanwhile nothing is marked.
_MARK = """
update instances set blocks_epoch = case when %(blocks)s then epoch end
where id = %(instance)s and owner = %(worker)s
"""
_AT_MOST = "select set_config('statement_timeout', '2000', true), set_config('lock_timeout', '1000', true)"  # ms


def mark(db: Database, worker: str, instance: str, *, blocks: bool) -> None:
    """Say that the code of ``instance`` blocks ``worker``, or that it no longer does. It blocks the calling thread.

    Raises:
        psycopg.Error: Postgres is away.
    """
    with db.connect_in_thread() as connection:
        connection.execute(_AT_MOST)
        connection.execute(_MARK, {"instance": instance, "worker": worker, "blocks": blocks})
