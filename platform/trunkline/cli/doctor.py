"""``trunkline doctor``: looks at everything that the promises rest on, and says how to mend what is wrong."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> None:
    """Check all servers, and say how to mend what is wrong.

    Postgres, its schema, how safely it keeps what it is told, and for how long; NATS, JetStream and the streams.
    """
    import asyncio
    from dataclasses import asdict
    from itertools import zip_longest

    from trunkline.cli import diagnosis, output, process
    from trunkline.cli.configuration import load_settings

    settings = load_settings()
    process.prepare(settings)
    findings = asyncio.run(diagnosis.examine(settings))
    if as_json:
        output.document([asdict(finding) for finding in findings])
    for finding, following in [] if as_json else zip_longest(findings, findings[1:]):
        output.say(f"{finding.state:<12}{finding.what}: {finding.detail}", output.STYLES.get(finding.state, ""))
        if finding.fix and (following is None or following.fix != finding.fix):  # once for several
            output.say(f"{'':<12}→ {finding.fix}")
    raise typer.Exit(diagnosis.exit_code(findings))
