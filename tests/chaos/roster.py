"""Who leads and who is dead, as Postgres has it."""

from __future__ import annotations

from chaos.exchange import Exchange

# Where nobody may die for what a test does, nobody shall die of a busy machine either: seconds of silence.
PATIENT_LEASE = 3.0


async def leading(running: Exchange, other_than: str = "") -> str:
    """The name of the supervisor that leads; empty when none does, or only the one that does not count."""
    rows = await running.ask(
        "select w.pid from leaders l join workers w on w.id = l.owner where l.until_at > clock_timestamp()"
    )
    found = [name for name, process in running.processes.items() if (process.pid,) in rows]
    return found[0] if found and found[0] != other_than else ""


async def is_dead(running: Exchange, worker: str) -> bool:
    """Whether this worker was declared dead."""
    return bool(await running.ask("select 1 from workers where id = %s and dead_at is not null", worker))


async def nobody_died(running: Exchange) -> None:
    """Nobody was declared dead, and every process is there."""
    dead = await running.ask("select kind from workers where dead_at is not null")
    ended = [name for name, process in running.processes.items() if process.poll() is not None]
    assert (dead, ended) == ([], []), (dead, ended, running.logs())
