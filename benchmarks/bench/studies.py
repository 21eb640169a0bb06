"""What is measured of Trunkline alone, as rows like the others': waking, recovery, memory.

The programs are ``benchmarks/suspension`` and ``benchmarks/recovery``, which measure more when they are asked alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from benchmarks.recovery import __main__ as recovery
from benchmarks.suspension import asleep, idle

Row = dict[str, Any]

LONGEST = 900.0  # seconds
IDLE = [1_000, 100_000, 1_000_000]
HELD = 2_000  # runs, by two workers together
KILLS = 3
ASLEEP = 20_000  # runs


async def study(workload: str) -> list[Row]:
    """Its rows; one that says why there are none, if it fails."""
    try:
        async with asyncio.timeout(LONGEST):
            return await STUDIES[workload]()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong with one, the others go on
        return [_row(workload, 0) | {"failed_rounds": [str(error) or type(error).__name__]}]


async def wake() -> list[Row]:
    """Dormant instances, one after the other, from the request for a run to its first journal entry."""
    return woken(await idle.beside(IDLE))


async def recover() -> list[Row]:
    """From SIGKILL of the worker that held most to the next entry of each of its runs."""
    return [recovered(await recovery.measure(HELD, KILLS))]


async def remember() -> list[Row]:
    """Runs that wait for a signal, all in the memory of one worker."""
    return [remembered(await asleep.in_memory(ASLEEP))]


def woken(found: list[dict[str, Any]]) -> list[Row]:
    """What an idle instance costs in memory is by how much the worker grew since it had fewer of them beside it."""
    return [
        _row("wake", 1)
        | {"idle_instances": one["idle"], "settings": "default settings; one agent worker; one run after the other"}
        | {name: one["to_first_entry"][name] for name in ("p50_ms", "p99_ms")}
        | {"to_answer_p50_ms": one["to_answer"]["p50_ms"], "to_answer_p99_ms": one["to_answer"]["p99_ms"]}
        | {"resident_bytes_of_the_worker": one["resident"], "bytes_an_idle_instance": _each(fewer, one)}
        for fewer, one in zip([None, *found], found, strict=False)
    ]


def recovered(rounds: list[recovery.Round]) -> Row:
    """``spread`` is of the rounds' medians."""
    middles = [1000 * one.p50_s for one in rounds]
    return _row("recovery", round(median(one.held for one in rounds))) | {
        "p50_ms": round(median(middles)),
        "p99_ms": round(1000 * median(one.p99_s for one in rounds)),
        "slowest_ms": round(1000 * max(one.slowest_s for one in rounds)),
        "spread": [round(min(middles)), round(max(middles))],
        "rounds": len(rounds),
        "settings": "default settings; two agent workers, of which one is killed with SIGKILL",
    }


def remembered(found: dict[str, Any]) -> Row:
    return _row("memory", found["runs"]) | {
        "bytes_a_suspended_run": found["bytes_a_run_in_memory"],
        "resident_bytes_of_the_worker": found["resident_all_in_memory"],
        "postgres_bytes_a_run": found["postgres_bytes_a_run"],
        "settings": "one agent worker with room for all of them; its resident bytes, less those that it had before",
    }


def _each(few: dict[str, Any] | None, many: dict[str, Any]) -> float | None:
    return round((many["resident"] - few["resident"]) / (many["idle"] - few["idle"]), 1) if few else None


def _row(workload: str, in_flight: int) -> Row:
    nothing = dict.fromkeys(("steps_per_s", "p50_ms", "p99_ms"))
    told = {"spread": [], "rounds": 1, "cpu_s_per_1000_steps": {}, "failed_runs": 0, "failure": "", "failed_rounds": []}
    return {"workload": workload, "contender": "trunkline", "in_flight": in_flight, **nothing, **told}


STUDIES: dict[str, Callable[[], Awaitable[list[Row]]]] = {"wake": wake, "recovery": recover, "memory": remember}
