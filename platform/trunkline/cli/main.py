"""Where ``trunkline`` begins, and how a failure or Ctrl-C leaves the process.

The commands are imported inside: Ctrl-C may come while they load.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name, and exit."""
    from trunkline.cli.failures import INTERRUPTED, deliberate, exit_code, one_line

    try:
        from trunkline.cli.commands import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - nobody shall see a traceback
        from trunkline.cli.output import complain

        complain(f"trunkline: {one_line(error)}")
        sys.exit(exit_code(deliberate(error) or error))


if __name__ == "__main__":
    main()
