"""By when a run must have ended: how people write it, and what is said when it has passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from trunkline.domain.durations import Duration, seconds
from trunkline.domain.errors import BadDuration, BadInput

Deadline = Duration | datetime

STEP = "deadline"  # of a run's own timer, in ``timers`` and in the letter that it becomes; steps' keys have a colon
LAST = 253_402_300_799.0  # the end of the year 9999: seconds since the epoch


def as_json(deadline: Deadline | None) -> float | str | None:
    """How a deadline travels: seconds from when it is accepted, or an ISO 8601 time.

    Raises:
        BadInput: it is neither a duration nor a time with a time zone.
    """
    if deadline is None:
        return None
    if isinstance(deadline, datetime):
        return datetime.isoformat(_with_zone(deadline))
    try:
        return seconds(deadline)
    except BadDuration as error:
        raise _bad(str(error)) from None


def moment(deadline: Any, now: float) -> float:
    """The JSON of a deadline in seconds since the epoch, at ``now``.

    Raises:
        BadInput: it is neither a number of seconds, a duration as text, nor an ISO 8601 time with a time zone.
    """
    try:
        return now + seconds(deadline)
    except BadDuration:
        pass
    if not isinstance(deadline, str):
        raise _bad(f"{deadline!r:.100} is neither")
    try:
        at = _with_zone(datetime.fromisoformat(deadline)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(f"{deadline!r:.100} is neither") from None
    return (at - datetime.fromtimestamp(0, UTC)) / timedelta(seconds=1)


def nearest(*deadlines: float | None) -> float | None:
    """The first of those that there are."""
    return min((one for one in deadlines if one is not None), default=None)


def passed(deadline: float) -> str:
    """Why a run is cancelled whose deadline has passed."""
    at = datetime.fromtimestamp(min(max(deadline, 0.0), LAST), UTC)
    return f"its deadline has passed: {at.isoformat(timespec='seconds').replace('+00:00', 'Z')}"


def _with_zone(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise _bad("the time has no time zone")
    return at


def _bad(reason: str) -> BadInput:
    return BadInput(
        target="the deadline", reason=f'{reason}; write seconds, "2h", or a time such as 2031-02-03T12:00:00Z'
    )
