"""Beginning anew: the part of ``Context`` for runs that are to go on for longer than one handler should remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from trunkline.engine.replay import RunDriver

if TYPE_CHECKING:
    from trunkline.authoring.handling import Frame


class ContinueAsNew(BaseException):
    """Ends the handler, to begin it anew with ``input`` (JSON). As a BaseException it passes ``except Exception``."""

    def __init__(self, input: Any) -> None:  # noqa: A002
        super().__init__("the handler begins anew")
        self.input = input


class Renewing:
    """``frame`` is what the run's contexts share."""

    __slots__ = ()

    _driver: RunDriver
    _frame: Frame

    def continue_as_new(self, input: Any) -> NoReturn:  # noqa: A002
        """End this handler here, and begin it anew with another input, as the same run: for work that never ends.

        What it changed of state and conversation is recorded, as when it returns; steps that are open are cancelled.
        Signals that nobody took, the run's id, its deadline, and who waits for its answer stay. The new handler
        remembers nothing else, so the run's past costs nothing, however long it is. It never returns: clean-up in
        ``finally`` is carried out.

        Raises:
            BadInput, NotJson: ``input`` does not fit the handler.
            BadDeclaration: it is called in a gather, map, race or within.
        """
        self._driver.check_main("ctx.continue_as_new")
        raise ContinueAsNew(self._frame.handler.input.encode(input))

    @property
    def restarts(self) -> int:
        """How many restarts of this run count just now, towards the most that its agent may have."""
        return len(self._driver.life.restarts)
