"""Paths as they were sent: an instance's key is one segment, whatever it holds, so a slash in it is written ``%2F``.

ASGI servers decode the whole path before it is routed, and then a key's slash looks like a separator. Here each segment
is decoded alone, and its slashes travel through the router as a character that no key may hold.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.domain.ids import check_key

PLACE = b"/v1/agents/"  # where keys are
SLASH = "\x00"


class Segments:
    """An ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path", b"")
        if raw.startswith(PLACE) and b"%2f" in raw.lower():
            segments = raw.decode("ascii", "replace").split("/")
            scope = {**scope, "path": "/".join(unquote(segment).replace("/", SLASH) for segment in segments)}
        await self._app(scope, receive, send)


def _key(request: Request, key: str) -> str:
    return check_key(key if b"%00" in request.scope.get("raw_path", b"") else key.replace(SLASH, "/"))


Key: Any = Annotated[str, Depends(_key)]
