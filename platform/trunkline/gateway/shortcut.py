"""The shortest way to the route that is asked most: the start of a run, in its plainest form.

FastAPI's routing, validation and middlewares take more time than all else that a start costs. A request whose path has
nothing escaped in it, without a query, and with at most a usual ``Idempotency-Key`` needs none of them; all others go
by FastAPI, which documents the route, and refuses what is wrong. Both ways come to the same function.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.domain.errors import TrunklineError
from trunkline.domain.ids import check_key
from trunkline.gateway import problems
from trunkline.gateway.routes import LONGEST_KEY, begin

KEYLESS = "/v1/agents/{agent}/runs"
KEYED = "/v1/agents/{agent}/instances/{key}/runs"


class Shortcut:
    """The ASGI layer inside of ``door``; ``app`` is FastAPI's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = _place(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if place is None:
            await self._app(scope, receive, send)
            return
        agent, key, idempotency_key = place
        scope["app"], scope["route"] = self._app, _Route(KEYLESS if key is None else KEYED)
        request = Request(scope, receive)
        try:
            response = await begin(request, agent, None if key is None else check_key(key), 0.0, idempotency_key)
        except ClientDisconnect:
            return
        except TrunklineError as error:
            response = problems.answer(error)
        except Exception as error:  # noqa: BLE001 - logged there
            response = problems.unexpected(error)
        await response(scope, receive, send)


class _Route:
    """What ``measure`` looks at."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


def _place(scope: Scope) -> tuple[str, str | None, str | None] | None:
    """Agent, key and idempotency key of a plain start; ``None`` when it is anything else."""
    raw: bytes = scope.get("raw_path") or b"%"
    if scope["query_string"] or not raw.endswith(b"/runs") or b"%" in raw:
        return None
    parts = scope["path"].split("/")
    match parts:
        case ["", "v1", "agents", agent, "runs"] if agent:
            key = None
        case ["", "v1", "agents", agent, "instances", key, "runs"] if agent and key:
            pass
        case _:
            return None
    given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if len(given) > 1 or (given and not 1 <= len(given[0]) <= LONGEST_KEY):
        return None
    return agent, key, given[0].decode("latin-1") if given else None
