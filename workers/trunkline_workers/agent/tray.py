"""The mail of one instance that is in memory: what is to be read, what was fetched, and what has to wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from operator import attrgetter

from trunkline.domain.mail import Mail
from trunkline.engine.few import Several

Waiting = Several[Mail]  # the oldest first

_NONE: frozenset[int] = frozenset()
_seq = attrgetter("seq")


class Tray:
    """``known`` is mail that is here already, or being taken by a commit under way. An empty one costs next to nothing:
    a worker holds many.
    """

    __slots__ = ("_unread", "known")

    def __init__(self) -> None:
        self.known: set[int] | frozenset[int] = _NONE
        self._unread: deque[Mail] | None = None

    def __bool__(self) -> bool:
        """Whether there is something to be read."""
        return self._unread is not None

    def put(self, letters: Iterable[Mail]) -> None:
        """Note mail, in the order in which it was accepted. What is known already is passed over."""
        for letter in letters:
            if letter.seq not in self.known:
                if not isinstance(self.known, set):
                    self.known = set()
                self.known.add(letter.seq)
                if self._unread is None:
                    self._unread = deque()
                self._unread.append(letter)

    def next(self) -> Mail:
        """Take the oldest letter that is still to be read; there must be one."""
        assert self._unread is not None, "the tray is empty"
        letter = self._unread.popleft()
        self._unread = self._unread or None
        return letter

    def forget(self, seqs: Iterable[int]) -> None:
        """These were taken, or are to be read anew."""
        if isinstance(self.known, set):
            self.known.difference_update(seqs)
            self.known = self.known or _NONE


class Backlog:
    """The waiting signals of one run. ``due`` says that a turn which gives it some is on its way."""

    __slots__ = ("_named", "due")

    def __init__(self) -> None:
        self._named: dict[str, deque[Mail]] = {}
        self.due = False

    def __contains__(self, name: str) -> bool:
        """Whether a signal of this name waits."""
        return name in self._named

    def put(self, letter: Mail) -> None:
        """``letter`` waits behind those of its name."""
        self._named.setdefault(str(letter.body["name"]), deque()).append(letter)

    def next(self, names: AbstractSet[str]) -> Mail | None:
        """Take the signal that is to be given first, of those with one of ``names``."""
        heads = [self._named[name][0] for name in self._named.keys() & names]
        if not heads:
            return None
        letter = min(heads, key=_seq)
        waiting = self._named[letter.body["name"]]
        waiting.popleft()
        if not waiting:
            del self._named[letter.body["name"]]
        return letter

    def wanted(self, names: AbstractSet[str]) -> bool:
        """Whether a signal with one of ``names`` waits."""
        return not self._named.keys().isdisjoint(names)

    def letters(self) -> list[Mail]:
        """All that waits, oldest first."""
        return sorted((letter for named in self._named.values() for letter in named), key=_seq)
