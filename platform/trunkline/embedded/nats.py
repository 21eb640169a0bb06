"""A real ``nats-server`` with JetStream, from the wheel, on loopback."""

from __future__ import annotations

import random
import secrets
import shutil
import signal
import socket
import sysconfig
from contextlib import suppress
from pathlib import Path

from trunkline.domain.errors import NotConfigured, Unavailable
from trunkline.embedded.server import ServerProcess

_HOST = "127.0.0.1"
# Below what systems hand out to outgoing connections: a client that keeps trying a closed port of that range on
# loopback connects to itself one day, and the server can no longer have it.
_PORTS = range(20_000, 32_000)
_TRIES = 20


class EmbeddedNats:
    """Streams are kept in ``directory``, which is made if it is missing. The port is kept over restarts."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self._port = port
        self._data = self.directory / "data"
        self._name = f"embedded-{secrets.token_hex(8)}"
        self._program = _program()
        self._server = ServerProcess("nats", self.directory)

    @property
    def port(self) -> int:
        """The port; picked at the first look unless given."""
        if self._port is None:
            self._port = _free_port()
        return self._port

    @property
    def url(self) -> str:
        return f"nats://{_HOST}:{self.port}"

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
        """Run it and wait until it takes clients.

        Raises:
            NotConfigured: another server uses the directory.
            Unavailable: it did not come up; the reason is what it said.
        """
        if self._server.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        where = ["-sd", str(self._data), "-a", _HOST, "-p", str(self.port)]
        command = [self._program, "--server_name", self._name, "-js", *where]
        self._server.start(command, ready=self._ready, identity={})

    def stop(self) -> None:
        """Write everything out and end."""
        self._server.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer would."""
        self._server.signal(signal.SIGKILL)

    def wipe(self) -> None:
        """Forget every stream and consumer; a server that runs is killed first."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def _ready(self) -> bool:
        """Once JetStream is up it greets with an INFO line; the name in it tells it from another server on the port."""
        with suppress(OSError), socket.create_connection((_HOST, self.port), timeout=1.0) as connection:
            greeting = connection.recv(4096).decode()
            return self._name in greeting and '"jetstream":true' in greeting
        return False


def _program() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NotConfigured(what="The embedded NATS", fix="Install it with: pip install 'trunkline[embedded]'")
    return found


def _free_port() -> int:
    for port in random.SystemRandom().sample(_PORTS, _TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_HOST, port))
            return port
    raise Unavailable(what="A free port", reason=f"{_TRIES} between {_PORTS.start} and {_PORTS.stop} were taken")
