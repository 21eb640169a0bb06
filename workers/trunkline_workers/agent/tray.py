"""The mail of one instance that is in memory: what is still to be read, and what need not be fetched again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from trunkline.domain.mail import Mail

_NONE: frozenset[int] = frozenset()


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
