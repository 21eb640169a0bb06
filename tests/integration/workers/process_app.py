"""Tools that run in processes of their own, and tell through files which."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from trunkline.authoring.app import App
from trunkline.authoring.tool_context import ToolContext

app = App("computing")


@app.tool(process=True, retries=3)
def where(tc: ToolContext, number: int) -> list[object]:
    """Which process it is, and what it was told."""
    print("what is printed goes nowhere near the answer")
    tc.progress("half", {"percent": 50})
    return [os.getpid(), tc.idempotency_key, number]


@app.tool(process=True, concurrency=2, timeout=60, retries=3)
def compute(directory: str) -> None:
    """Hold the processor, and the interpreter's lock with it, until somebody ends it."""
    began = Path(directory) / f"began-{os.getpid()}"
    began.touch()
    while True:
        time.monotonic()


@app.tool(process=True, timeout=1)
def too_long(directory: str) -> None:
    (Path(directory) / f"began-{os.getpid()}").touch()
    while True:
        time.monotonic()


@app.tool(process=True, retries=1)
def crash() -> None:
    """A fault in C."""
    ctypes.string_at(0)


@app.tool(process=True, effect="unsafe")
def crash_unsafely() -> None:
    os._exit(3)


@app.tool(process=True, effect="unsafe")
def pay() -> int:
    return os.getpid()


@app.tool(process=True)
def leave(number: int) -> int:
    raise SystemExit(number)
