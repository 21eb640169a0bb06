"""Programs that do not outlive this process, however it ends, SIGKILL included.

Each has a *guard*: a shell that waits on a pipe from this process. If this process ends, the pipe closes and the guard
ends the program. (Linux's PR_SET_PDEATHSIG would not do: it is cleared by the change of user that Postgres needs, it
fires when the starting *thread* ends, and other systems do not have it.) The program itself begins only when its guard
is there: until then it is a shell that waits on a pipe of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, TypedDict

_BEGIN = """
read -r _ || exit 1
exec "$@" </dev/null
"""
_GUARD = """
read -r _ && exit 0
kill -s INT "$1"
tenths=0
while kill -0 "$1" 2>/dev/null && [ $tenths -lt 50 ]; do sleep 0.1; tenths=$((tenths + 1)); done
kill -s KILL "$1" 2>/dev/null
"""


class Identity(TypedDict, total=False):
    """Who a process runs as, in ``subprocess``'s words; empty for who we are."""

    user: int
    group: int
    extra_groups: list[int]


class Guarded:
    """``command``, begun, in a session of its own: Ctrl-C is for us, and clients stop before their servers do.

    ``lock`` is a descriptor that it keeps open.
    """

    def __init__(
        self, command: Sequence[str], identity: Identity, *, output: IO[bytes] | int, lock: int | None = None
    ) -> None:
        self.process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _BEGIN, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
            cwd="/",
            **identity,
        )
        self._guard = guard(_GUARD, str(self.process.pid))
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as begin:
            begin.write(b"\n")
        self.process.stdin = None

    def ended(self) -> None:
        """It has ended, and needs no guard any more."""
        self._guard.communicate(b"\n")


def carry_out(command: Sequence[str], identity: Identity) -> tuple[int, str]:
    """Run ``command`` to its end: its exit status, and what it said."""
    guarded = Guarded(command, identity, output=subprocess.PIPE)
    said, _ = guarded.process.communicate()
    guarded.ended()
    return guarded.process.returncode, said.decode(errors="replace")


def guard(script: str, guarded: str) -> subprocess.Popen[bytes]:
    """A shell that carries out ``script``, of which ``$1`` is ``guarded``. Its input ends with this process."""
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", guarded],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
