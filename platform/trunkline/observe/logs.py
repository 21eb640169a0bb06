"""Structured logs: one line an event, with the run and step that it belongs to.

Loggers of ``get`` and plain ``logging`` loggers write through the same handler, so a line looks alike wherever it
comes from. Until ``configure`` is called (an application that only imports the client), nothing is set up and the
application's own ``logging`` configuration applies.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.contextvars import bind_contextvars, get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
OURS = ("trunkline", "trunkline_workers", "trunkline_sensors", "trunkline_migrations")

Format = Literal["auto", "console", "json"]
Log = structlog.stdlib.BoundLogger

_URL_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s/@]+@")
_GIVEN_PASSWORD = re.compile(r"(password=)[^\s&'\"]+", re.IGNORECASE)
_SECRET_NAMES = re.compile(r"password|secret|token$|api_?key|authorization|credential", re.IGNORECASE)
_FIELDS = "trunkline_fields"
_UTC = structlog.processors.TimeStamper(fmt="iso", utc=True)


def get(room: str) -> Log:
    """The logger of a room of the house: ``log.info("taken", run=…)``. Keyword arguments become fields of the line."""
    logger = structlog.wrap_logger(
        logging.getLogger(f"trunkline.{room}"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _to_record,
        ],
        wrapper_class=Log,
    )
    return cast("Log", logger)


def bind(**fields: str) -> None:
    """From here on every line of this task, and of those that it starts, carries these fields: ``run=``, ``step=``."""
    bind_contextvars(**fields)


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Write every log line to ``stream`` (standard error). Ours from ``level`` up, others' from warnings up.

    Raises:
        ValueError: the level or the format has no such name.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"the log level is one of {', '.join(LEVELS)}, not {level!r}")
    if form not in ("auto", "console", "json"):
        raise ValueError(f"the log format is auto, console or json, not {form!r}")
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    console = form == "console" or (form == "auto" and target.isatty())
    handler.setFormatter(_console(target) if console else _Formatter(structlog.processors.JSONRenderer()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())


def hide_secrets(text: str) -> str:
    """``text`` without the passwords of URLs and connection strings that stand in it."""
    return _GIVEN_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", text))


def _console(stream: TextIO) -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=28, pad_level=False)
    return _Formatter(renderer, stamp=structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))


def _to_record(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """Hand the event to ``logging``: any handler can show its text; ours shows the fields, too."""
    passed = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    text = str(event.pop("event", "")).replace("\n", " ")
    return (text,), {**passed, "extra": {_FIELDS: event}}


class _Formatter(logging.Formatter):
    def __init__(self, renderer: Processor, stamp: Processor = _UTC) -> None:
        super().__init__()
        self._render, self._stamp = renderer, stamp

    def format(self, record: logging.LogRecord) -> str:
        line: EventDict = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            **get_contextvars(),
            **getattr(record, _FIELDS, {}),
        }
        for name in line:
            if _SECRET_NAMES.search(name):
                line[name] = "***"
        self._stamp(None, "", line)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return hide_secrets(str(self._render(None, record.levelname.lower(), line)))
