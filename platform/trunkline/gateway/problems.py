"""Errors as RFC 9457 problem documents (https://www.rfc-editor.org/rfc/rfc9457)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from trunkline.domain.codec import dumps
from trunkline.domain.errors import TrunklineError
from trunkline.observe import logs

log = logs.get("gateway")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "1"  # seconds
_EXAMPLE = {
    "type": "urn:trunkline:unknown-run",
    "title": "unknown run",
    "status": 404,
    "detail": "There is no run '…'.",
}
_FIELDS = {name: {"type": "integer" if name == "status" else "string"} for name in _EXAMPLE}
_CONTENT = {MEDIA_TYPE: {"schema": {"type": "object", "properties": _FIELDS}, "example": _EXAMPLE}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is refused: `detail` says what to write instead.", "content": _CONTENT},
    503: {
        "description": "Postgres is away, or too much is asked: come again after `Retry-After`.",
        "content": _CONTENT,
    },
}


def install(app: FastAPI) -> None:
    """Have every error leave as a problem document, without a traceback."""
    app.add_exception_handler(TrunklineError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, code: str, detail: str) -> Response:
    """``code`` is the stable name of the error; ``detail`` says what to do."""
    body = {"type": f"urn:trunkline:{code}", "title": code.replace("-", " "), "status": status, "detail": detail}
    headers = {"Retry-After": RETRY_AFTER} if status in (429, 503) else None
    return Response(dumps(body), status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, TrunklineError)
    return answer(error)


def answer(error: TrunklineError) -> Response:
    """``error`` as it leaves."""
    if error.status >= 500 and error.status != 503:
        log.error("a request failed: %s", error)
    return problem(error.status, error.code, str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, "bad-input", f"{where}: {first['msg']}")


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "There is nothing at", 405: f"{request.method} is not understood at"}
    detail = f"{words.get(error.status_code, error.detail)} {request.url.path}. See /docs for what there is."
    return problem(error.status_code, error.detail.lower().replace(" ", "-"), detail)


async def _unexpected(_: Request, error: Exception) -> Response:
    return unexpected(error)


def unexpected(error: Exception) -> Response:
    """What nobody foresaw, as it leaves."""
    log.error("a request failed unexpectedly", exc_info=error)
    return problem(500, "error", "Something went wrong in Trunkline; its log says what.")
