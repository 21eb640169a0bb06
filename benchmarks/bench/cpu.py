"""The CPU time of processes with all that they started, and of the machine, from Linux's ``/proc``; elsewhere it is not
measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_STATE, _PARENT, _GROUP, _TIMES = 0, 1, 2, slice(11, 15)  # of the fields behind the name
_BUSY = (0, 1, 2, 5, 6, 7)  # of the machine's: user, nice, system, interrupts, and what a hypervisor took
_WAITING = (4,)


def seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system seconds by role: of each process, and of those below it that are not counted as another's."""
    stats = dict(_stats()) if _PROC.is_dir() else {}
    roots = {pid: role for role, pid in pids.items()}
    spent = dict.fromkeys(pids, 0.0)
    for pid, stat in stats.items():
        role = _role(pid, stats, roots)
        if role is not None:
            spent[role] += sum(map(int, stat[_TIMES])) / _TICK  # with those of its children that have ended
    return spent if stats else {}


def busy() -> float:
    """Seconds that the machine's cores were busy since it started, all together."""
    return _machine(_BUSY)


def waiting() -> float:
    """Seconds that its cores had nothing to do but to wait for a disk."""
    return _machine(_WAITING)


def alive(group: int) -> bool:
    """Whether any process of this group runs (one that has ended, and that nobody has asked about, does not)."""
    stats = (stat for _, stat in _stats()) if _PROC.is_dir() else ()
    return any(int(stat[_GROUP]) == group and stat[_STATE] != "Z" for stat in stats)


def _machine(states: Iterable[int]) -> float:
    if not _PROC.is_dir():
        return 0.0
    fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[one]) for one in states) / _TICK


def _role(pid: int, stats: Mapping[int, list[str]], roots: Mapping[int, str]) -> str | None:
    while pid not in roots:
        if pid not in stats:
            return None
        pid = int(stats[pid][_PARENT])
    return roots[pid]


def _stats() -> list[tuple[int, list[str]]]:
    found = []
    for directory in _PROC.iterdir():
        if directory.name.isdigit():
            try:
                text = (directory / "stat").read_text()
            except OSError:
                continue  # it has ended
            found.append((int(directory.name), text.rpartition(")")[2].split()))
    return found
