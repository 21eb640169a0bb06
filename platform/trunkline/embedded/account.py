"""Postgres refuses to run as root. As root, it runs as another user, who must be able to reach its files.

No permission outside the system's temporary directory is changed for that: programs that the user cannot reach are
copied, and data in such a place is refused.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from trunkline.domain.errors import NotConfigured

_NAMES = ("pgserver", "postgres")


def find() -> pwd.struct_passwd | None:
    """The user to run Postgres as; ``None`` when it is the one we are."""
    if os.geteuid() != 0:
        return None
    for name in _NAMES:
        if account := _named(name):
            return account
    if program := shutil.which("useradd"):
        subprocess.run([program, "--system", _NAMES[0]], check=False, capture_output=True)  # noqa: S603
    account = _named(_NAMES[0]) or _named("nobody")
    if account is None:
        raise NotConfigured(
            what="A user for the embedded Postgres",
            fix="Do not run as root, or add a user: useradd --system pgserver",
        )
    return account


def reachable(path: Path) -> bool:
    """Whether every other user can get to ``path``."""
    return not _closed(path)


def let_in(directory: Path) -> None:
    """Make sure that other users can get to ``directory`` (by name; listing stays as it is).

    Raises:
        NotConfigured: a directory above it, outside the system's temporary directory, is closed to them.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    for closed in _closed(directory):
        if temporary not in closed.parents:
            raise NotConfigured(
                what="A data directory that Postgres can reach",
                fix=f"As root, Postgres runs as another user, and {closed} is closed to others: name a directory "
                f"elsewhere, such as /var/lib/trunkline, or do not run as root.",
            )
        closed.chmod(closed.stat().st_mode | stat.S_IXOTH)


def _named(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _closed(path: Path) -> list[Path]:
    return [parent for parent in path.resolve().parents if not parent.stat().st_mode & stat.S_IXOTH]
