"""``trunkline migrate``: the tables, at the version that this code needs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.arguments import AsJson
from trunkline.domain.errors import Unavailable

if TYPE_CHECKING:
    from trunkline.settings import Settings
    from trunkline.store.database import Database


class NoDatabase(Unavailable):
    """Postgres cannot be reached: {reason}. Start it, or set TRUNKLINE_DATABASE_URL."""


def migrate(
    wait: Annotated[float, typer.Option(help="Seconds to wait for Postgres.", min=0)] = 30.0,
) -> None:
    """Bring the database schema to this version.

    Do it before processes of a new version start; those of the old one go on.
    """
    from trunkline.cli import process
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.output import say
    from trunkline.store import migrate as migrations

    settings = load_settings()
    process.prepare(settings)
    asyncio.run(_answering(settings, wait))
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    migrations.upgrade(url, schema, told=say)
    say(f"schema {schema!r} is at {migrations.head()}")


async def _answering(settings: Settings, wait: float) -> None:
    db = await _opened(settings, wait)
    await db.close()


async def _opened(settings: Settings, wait: float = 0.0) -> Database:
    from trunkline.store.database import Database, Unreachable

    try:
        return await Database.of(settings, size=1, wait=wait)
    except Unreachable as error:
        raise NoDatabase(reason=error.fields["reason"]) from None


def check(
    effects: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A ledger of effects: TRUNKLINE_EXECUTIONS_LOG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Audit every journal and run in Postgres.

    Versions without gaps, epochs that never go back, one writer an epoch, one outcome a step, runs and journals that
    say the same; with a ledger, no effect without its step, and no unsafe one twice. Exit status 1 when a rule was
    broken. It reads everything of TRUNKLINE_TENANT: not for every minute.
    """
    import asyncio

    from trunkline.cli import output
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.failures import FAILED
    from trunkline.observe.ledger import read_ledger
    from trunkline.store.audit import Findings, audit

    settings = load_settings()
    begun = None if effects is None else read_ledger(effects)

    async def look() -> Findings:
        db = await _opened(settings)
        try:
            return await audit(db, settings.tenant, begun)
        finally:
            await db.close()

    found = asyncio.run(look())
    if as_json:
        output.document(found)
    else:
        for violation in found.violations:
            output.say(violation, "red")
        open_ = f"{len(found.unfinished)} are under way"
        again = sum(found.repeated.values())
        output.say(
            f"{found.instances} instances, {found.runs} runs ({open_}), {len(found.violations)} violations."
            + (f" {again} executions were repeated." if again else "")
        )
    if found.violations:
        raise typer.Exit(FAILED)
