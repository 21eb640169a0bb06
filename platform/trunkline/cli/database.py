"""``trunkline migrate``: the tables, at the version that this code needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trunkline.settings import Settings


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
    from trunkline.store.database import Database

    db = await Database.open(settings.database_url.get_secret_value(), size=1, wait=wait)
    await db.close()
