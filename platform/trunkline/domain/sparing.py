"""Loading a library without what it loads itself just in case: that costs every process its start, and is for none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within it the libraries ``names`` seem not to be installed, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: the documented way to have it refused
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
