"""A process of its own for one tool: it imports the tool's module, and carries out one call after the other.

Started by ``processes``, never by hand. It talks over a socket whose number is its argument: frames of JSON with their
length before them. It ends when the other end is gone, be it by SIGKILL and in the middle of a call.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import socket
import sys
import threading
from functools import reduce
from queue import SimpleQueue
from typing import Any

from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain import codec
from trunkline_workers.failures import failure, failure_of

HEAD = 4  # bytes of a frame's length
_PR_SET_PDEATHSIG = 1


def frame(value: Any) -> bytes:
    body = codec.dumps(value)
    return len(body).to_bytes(HEAD) + body


class Child:
    """The far end of the socket."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._asked: SimpleQueue[Any] = SimpleQueue()
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Until the other end is gone."""
        threading.Thread(target=self._listen, name="parent", daemon=True).start()
        tool = _find(self._asked.get())
        while True:
            self._send(self._carry_out(tool, self._asked.get()))

    def _carry_out(self, tool: Tool[Any, Any], call: Any) -> dict[str, Any]:
        context = ToolContext(**call["context"], on_progress=lambda text, data: self._send({"progress": [text, data]}))
        try:
            return {"value": tool.invoke_here(context, call["args"])}
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, ends only the call
            return {"error": failure_of(error)}

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while head := self._line.recv(HEAD, socket.MSG_WAITALL):
                self._asked.put(codec.loads(self._line.recv(int.from_bytes(head), socket.MSG_WAITALL)))
        os._exit(0)

    def _send(self, value: dict[str, Any]) -> None:
        try:
            body = frame(value)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call has failed and not the process
            body = frame({"error": failure(type(error).__name__, str(error), retryable=False)})
        with self._sending:
            self._line.sendall(body)


def _find(where: Any) -> Tool[Any, Any]:
    """Import as the parent did."""
    sys.path[:] = where["path"]
    found = reduce(getattr, where["name"].split("."), importlib.import_module(where["module"]))
    if not isinstance(found, Tool):
        raise TypeError(f"{where['module']}.{where['name']} is not the tool any more")
    return found


def _die_with_parent() -> None:
    """Where the system can see to it, also while C code holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which drains
    _die_with_parent()
    Child(socket.socket(fileno=int(sys.argv[1]))).serve()
