"""What lies in a stream, looked at and removed from outside any consumer: for the supervisor and for repair.

Spoken over JetStream's plain JSON API, so that it needs nothing but a request.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.bus.connection import Bus
from trunkline.bus.subjects import Stream
from trunkline.bus.topology import NOT_FOUND, call_api
from trunkline.domain.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as its stream holds it."""

    seq: int
    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """A durable consumer of a stream; ``pending`` messages wait for it, ``unacknowledged`` are in somebody's hands."""

    name: str
    subject: str
    pending: int
    unacknowledged: int


async def subjects(bus: Bus, stream: str) -> dict[str, int]:
    """How many messages each subject of ``stream`` holds.

    Raises:
        Unavailable: NATS is away, or the stream is not there (it is declared again in a moment).
    """
    found: dict[str, int] = {}
    while True:
        info = await _ask(bus, f"STREAM.INFO.{_name(bus, stream)}", {"subjects_filter": ">", "offset": len(found)})
        page = (info.get("state") or {}).get("subjects") or {}
        found.update(page)
        if not page or len(found) >= info.get("total", 0):
            return found


async def get(bus: Bus, stream: str, seq: int) -> Stored | None:
    """The message ``seq`` of ``stream``, if it is still there.

    Raises:
        Unavailable: as ``subjects``.
    """
    return await _get(bus, stream, {"seq": seq})


async def read(bus: Bus, stream: str, subject: str, *, limit: int) -> list[Stored]:
    """The first ``limit`` messages of ``subject``, in their order. Nothing is acknowledged by it.

    Raises:
        Unavailable: as ``subjects``.
    """
    found: list[Stored] = []
    after = 0
    while len(found) < limit:
        message = await _get(bus, stream, {"seq": after + 1, "next_by_subj": subject})
        if message is None:
            break
        found.append(message)
        after = message.seq
    return found


async def purge(bus: Bus, stream: str, subject: str, *, up_to: int) -> None:
    """Remove the messages of ``subject`` with a sequence of at most ``up_to``.

    Raises:
        Unavailable: as ``subjects``.
    """
    await _ask(bus, f"STREAM.PURGE.{_name(bus, stream)}", {"filter": subject, "seq": up_to + 1})


async def delete(bus: Bus, stream: str, seq: int) -> None:
    """Remove one message; one that is gone already is no error.

    Raises:
        Unavailable: as ``subjects``.
    """
    await _ask(bus, f"STREAM.MSG.DELETE.{_name(bus, stream)}", {"seq": seq, "no_erase": True}, missing_ok=True)


async def readers(bus: Bus, stream: str) -> list[Reader]:
    """The consumers of ``stream``.

    Raises:
        Unavailable: as ``subjects``.
    """
    found: list[Reader] = []
    while True:
        page = await _ask(bus, f"CONSUMER.LIST.{_name(bus, stream)}", {"offset": len(found)})
        infos: Sequence[dict[str, Any]] = page.get("consumers") or ()
        found.extend(map(_reader, infos))
        if not infos or len(found) >= page.get("total", 0):
            return found


async def delete_reader(bus: Bus, stream: str, name: str) -> None:
    """Delete a consumer; one that is gone already is no error.

    Raises:
        Unavailable: as ``subjects``.
    """
    await _ask(bus, f"CONSUMER.DELETE.{_name(bus, stream)}.{name}", None, missing_ok=True)


async def delete_streams(bus: Bus) -> None:
    """Delete all streams of this namespace, with what lies in them. For tests, which have one of their own.

    Raises:
        Unavailable: as ``subjects``.
    """
    for stream in Stream:
        await _ask(bus, f"STREAM.DELETE.{_name(bus, stream)}", None, missing_ok=True)


def _reader(info: dict[str, Any]) -> Reader:
    subject = (info.get("config") or {}).get("filter_subject") or ""
    return Reader(info["name"], subject, info.get("num_pending", 0), info.get("num_ack_pending", 0))


async def _get(bus: Bus, stream: str, which: dict[str, Any]) -> Stored | None:
    answer = await _ask(bus, f"STREAM.MSG.GET.{_name(bus, stream)}", which, missing_ok=True)
    message = answer.get("message")
    if message is None:
        return None
    return Stored(message["seq"], message["subject"], b64decode(message.get("data") or ""))


def _name(bus: Bus, stream: str) -> str:
    return bus.subjects.stream_name(stream)


async def _ask(bus: Bus, call: str, body: Mapping[str, Any] | None, *, missing_ok: bool = False) -> dict[str, Any]:
    answer = await call_api(bus.request, call, body)
    error = answer.get("error")
    if error and not (missing_ok and error.get("code") == NOT_FOUND):
        raise Unavailable(what=f"JetStream ({call})", reason=error.get("description") or "it was refused")
    return answer
