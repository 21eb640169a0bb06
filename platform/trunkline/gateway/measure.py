"""Counts requests, and times them until their answer begins. Labels are route templates, never paths."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.observe import metrics

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Measure:
    """An ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def begin(message: Message) -> None:
            if message["type"] == "http.response.start":
                _count(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, begin)


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")  # "none": no route took it
    method = scope["method"] if scope["method"] in METHODS else "other"
    metrics.http_requests.labels(method, route, f"{status // 100}xx").inc()
    metrics.http_seconds.labels(method, route).observe(seconds)
