"""``trunkline``, in a process whose wall clock can be wrong: by the seconds that stand in the file ``CHAOS_CLOCK``."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trunkline.cli.main import main

_FILE = Path(os.environ["CHAOS_CLOCK"])
_right = time.time


def _wrong() -> float:
    try:
        return _right() + float(_FILE.read_text())
    except (OSError, ValueError):
        return _right()


if __name__ == "__main__":
    time.time = _wrong
    main()
