"""How much memory this process has, and how much of it is resident."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
# What a container may have, by the second and the first version of control groups. "max" is no limit.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell (it has no ``/proc``)."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def blocks() -> int:
    """How many pieces of memory Python's objects take up; it grows and falls with them, whatever is resident."""
    return sys.getallocatedblocks()


def available(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Bytes that this process may have at most: its container's limit, or else what the machine has."""
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_set(limits)])


def _set(limits: tuple[Path, ...]) -> list[int]:
    found = []
    for path in limits:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            continue  # there is none, or it sets no limit
    return found
