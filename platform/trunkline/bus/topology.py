"""The streams as this version needs them: declared when missing, compared when there, and never changed behind anyone's
back.

``incarnation`` names the streams that are there now: a wiped NATS, or a stream that was deleted and made again, has
another one, and everything that lay in it is gone. STREAM is kept in memory and goes with every restart of the server;
it holds nothing that anybody must issue again, and does not count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from trunkline.bus.subjects import Stream, Subjects
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import TopologyDrift, Unavailable
from trunkline.settings import Settings

TIMEOUT = 5.0  # seconds that JetStream may take for an answer
NOT_FOUND = 404
_NANO = 1_000_000_000
_DEDUPLICATION = 120.0  # seconds; only saves work, no rule relies on it
_NAME_IN_USE = 10058
_DEAD_MAX_AGE = 30 * 86400.0
DURABLE = tuple(stream for stream in Stream if stream is not Stream.STREAM)

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
Config = dict[str, Any]


def streams(settings: Settings) -> dict[Stream, Config]:
    """The configuration of each stream, as JetStream's API takes it."""
    return {
        Stream.EVENTS: _stream(settings, Stream.EVENTS, max_age=settings.events_max_age),
        # A lost wake costs latency only, so a subject whose agents are not deployed drops its oldest.
        Stream.INBOX: _stream(settings, Stream.INBOX, retention="workqueue", max_msgs_per_subject=100_000),
        Stream.WORK: _stream(settings, Stream.WORK, retention="workqueue", discard="new", max_msgs=1_000_000),
        Stream.REPLY: _stream(settings, Stream.REPLY, retention="workqueue", discard="new", max_msgs=1_000_000),
        Stream.STREAM: _stream(
            settings,
            Stream.STREAM,
            storage="memory",
            max_age=settings.stream_max_age,
            max_msgs_per_subject=20_000,
            max_bytes=128 * 1024 * 1024,
        ),
        Stream.DEAD: _stream(settings, Stream.DEAD, max_age=_DEAD_MAX_AGE, max_msgs=100_000),
    }


def _stream(settings: Settings, stream: Stream, *, max_age: float = 0.0, **special: Any) -> Config:
    subjects = Subjects(settings.namespace)
    window = min(_DEDUPLICATION, max_age) if max_age else _DEDUPLICATION
    return {
        "name": subjects.stream_name(stream),
        "subjects": subjects.taken_by(stream),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": settings.nats_replicas,
        "max_age": int(max_age * _NANO),
        "duplicate_window": int(window * _NANO),
        "allow_direct": True,
        **special,
    }


class Topology:
    """The streams of one namespace. ``ask`` makes a request on the connection and raises ``Unavailable``."""

    def __init__(self, settings: Settings, ask: Ask) -> None:
        self._ask = ask
        self._ours = f"{settings.namespace}.>"
        self._wanted = streams(settings)
        self._created: dict[Stream, str] = {}

    @property
    def declared(self) -> bool:
        return bool(self._created)

    async def declare(self) -> None:
        """Make the streams that are missing.

        Raises:
            TopologyDrift: one is there with another configuration; all others are in place by then.
            Unavailable: JetStream is away, or refuses; the reason is its own.
        """
        drift: TopologyDrift | None = None
        for stream, wanted in self._wanted.items():
            found = await self._found(stream) or await self._create(stream, wanted)
            self._created[stream] = found["created"]
            if difference := _difference(wanted, found["config"]):
                drift = drift or TopologyDrift(stream=wanted["name"], difference=difference)
        if drift is not None:
            raise drift

    async def check(self) -> list[str]:
        """What is missing or different, a line each; empty when all is as it should be.

        Raises:
            Unavailable: JetStream is away.
        """
        lines = []
        for stream, wanted in self._wanted.items():
            found = await self._found(stream)
            if found is None:
                lines.append(f"JetStream stream {wanted['name']} is missing")
            elif difference := _difference(wanted, found["config"]):
                lines.append(str(TopologyDrift(stream=wanted["name"], difference=difference)))
        return lines

    async def incarnation(self) -> str:
        """When each durable stream was made; it changes when one is made again.

        Raises:
            Unavailable: JetStream is away.
        """
        parts = []
        for stream in DURABLE:
            found = await self._found(stream)
            parts.append(f"{stream}={found['created'] if found else 'missing'}")
        return " ".join(parts)

    async def replaced(self, stream: Stream) -> bool:
        """Whether ``stream`` is gone, or another than the one that ``declare`` saw.

        Raises:
            Unavailable: JetStream is away.
        """
        found = await self._found(stream)
        return found is None or found["created"] != self._created.get(stream)

    async def intact(self) -> bool:
        """Whether all streams are plainly those that ``declare`` saw, at the price of two requests. If not,
        ``replaced`` says of each.

        Raises:
            Unavailable: JetStream is away.
        """
        answer = await self._call("STREAM.LIST", {"subject": self._ours})
        found = {each["config"]["name"]: each["created"] for each in answer.get("streams") or ()}
        seen = {self._wanted[stream]["name"]: made for stream, made in self._created.items() if stream != Stream.DEAD}
        same = all(found.get(name) == made for name, made in seen.items())
        return same and not await self.replaced(Stream.DEAD)  # which takes subjects of the server's own

    async def _found(self, stream: Stream) -> Config | None:
        answer = await self._call(f"STREAM.INFO.{self._wanted[stream]['name']}", None)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("code") == NOT_FOUND:
            return None
        raise _unavailable(stream, error)

    async def _create(self, stream: Stream, wanted: Config) -> Config:
        answer = await self._call(f"STREAM.CREATE.{wanted['name']}", wanted)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("err_code") == _NAME_IN_USE and (found := await self._found(stream)):
            return found  # made by another process in between, by another version
        raise _unavailable(stream, error)

    async def _call(self, call: str, body: Config | None) -> dict[str, Any]:
        return await call_api(self._ask, call, body)


async def call_api(ask: Ask, call: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    """JetStream's answer to one call of its JSON API; a refusal is in its ``error``."""
    raw = b"" if body is None else dumps(body)
    answer: dict[str, Any] = loads(await ask(f"$JS.API.{call}", raw, TIMEOUT))
    return answer


def _unavailable(stream: Stream, error: Mapping[str, Any]) -> Unavailable:
    return Unavailable(what=f"JetStream stream {stream}", reason=error.get("description") or "it was refused")


def _difference(wanted: Config, found: Mapping[str, Any]) -> str:
    """Each setting that differs, as ``name is …, needed …``."""
    return "; ".join(
        f"{name} is {_shown(name, found.get(name))}, needed {_shown(name, value)}"
        for name, value in wanted.items()
        if _plain(found.get(name)) != _plain(value)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value)
    return value or None  # the server leaves out what is zero or false


def _shown(name: str, value: Any) -> str:
    if name in ("max_age", "duplicate_window") and isinstance(value, int):
        return f"{value / _NANO:g} s"
    return dumps(value).decode() if value is not None else "not set"
