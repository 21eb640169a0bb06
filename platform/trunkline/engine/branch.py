"""A branch: one coroutine, the handle of its return value, and the keys of what it asks for."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trunkline.domain.errors import BadDeclaration
from trunkline.engine.step import Step

if TYPE_CHECKING:
    from trunkline.engine.branches import Loop
    from trunkline.engine.kin import Kin

MAX_KEY = 200  # characters of a key= of the caller's
MAX_PATH = 1000  # characters of a branch's path
MOST_SHARED = 16_384  # texts


@lru_cache(maxsize=MOST_SHARED)
def once(text: str) -> str:
    """``text``, as whoever asked before for an equal one has it. (What is interned stays for ever with Python 3.12.)"""
    return text


class Branch(Step[Any]):
    """``path`` begins the keys of all steps that it asks for. What few branches need is made when one does."""

    __slots__ = (
        "asked", "awaits", "base", "closing", "coroutine", "doomed", "keys", "kin", "others", "path", "rng", "running",
        "value",
    )  # fmt: skip

    loop: Loop

    def __init__(self, loop: Loop, path: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        super().__init__(loop, path.rstrip("/"))
        self.path = path
        self.coroutine = coroutine
        self.kin: Kin | None = None
        self.base = ""  # of the step that it asked for last, and how often it did
        self.asked = 0
        self.others: dict[str, int] | None = None  # how often it asked for others
        self.keys: set[str] | None = None  # those that the caller chose with key=
        self.rng: random.Random | None = None
        self.awaits: Step[Any] | None = None
        self.running = False
        self.closing = False
        self.doomed = False  # to be closed as soon as it stops running
        self.value: Any = None

    def next_key(self, base: str) -> str:
        """``base`` with its occurrence in this branch. Runs of one agent come by the same keys: they are kept once."""
        if base != self.base:
            self._turn_to(base)
        self.asked += 1
        return once(f"{self.path}{base}#{self.asked}")

    def _turn_to(self, base: str) -> None:
        if self.base:
            if self.others is None:
                self.others = {}
            self.others[self.base] = self.asked
        self.base, self.asked = once(base), self.others.pop(base, 0) if self.others else 0

    def chosen_key(self, kind: str, key: str) -> str:
        """The key of a step that the caller named.

        Raises:
            BadDeclaration: it is not usable, or was used before in this branch.
        """
        what = f"The step key {key!r:.60}"
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY or "\x00" in key:
            raise BadDeclaration(what=what, reason="it is not usable", fix=f"Use 1 to {MAX_KEY} characters of text.")
        chosen = f"{self.path}{kind}@{key}"
        if self.keys is None:
            self.keys = set()
        if chosen in self.keys:
            raise BadDeclaration(what=what, reason="it was used before", fix="Give each step of a branch its own key.")
        self.keys.add(chosen)
        return chosen

    def group_key(self, name: str) -> str:
        """The key of a group or branch that this one opens.

        Raises:
            BadDeclaration: they are nested too deeply.
        """
        key = self.next_key(name)
        if len(key) > MAX_PATH:
            raise BadDeclaration(what=f"ctx.{name}", reason="branches are nested too deeply", fix="Use a loop instead.")
        return key

    def _value(self) -> Any:
        return self.value
