"""An app for worker processes: its tools say through a file when they begin, and wait for a file to go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from trunkline.authoring.app import App

app = App("desk")


@app.tool(effect="idempotent", concurrency=1, timeout=60)
async def slow(directory: str, name: str) -> str:
    """Say that it begins, by a line in a file; end when the file "go" is there."""
    here = Path(directory)
    with (here / "began").open("a") as began:
        began.write(f"{name}\n")
    while not (here / "go").exists():  # noqa: ASYNC110 - the one who waits for it is another process
        await asyncio.sleep(0.02)
    return name


@app.tool(concurrency=1, timeout=60)
def endless(directory: str) -> None:
    """A synchronous tool that does not come back."""
    (Path(directory) / "began").write_text("endless\n")
    while True:
        pass
