"""What all tables have in common: where SQLAlchemy keeps them, and the kinds of columns that there are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSON

metadata = MetaData(naming_convention={"uq": "%(table_name)s_%(column_0_N_name)s_key", "pk": "%(table_name)s_pkey"})


def text_column(name: str, default: str | None = None, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null, server_default=None if default is None else text(f"'{default}'"))


def number_column(name: str, type_: Any = BigInteger, default: str | None = "0") -> Column[Any]:
    return Column(name, type_, nullable=False, server_default=default and text(default))


def time_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=null, server_default=None if null else text("now()"))


def json_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, JSON, nullable=null)


def id_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Uuid, nullable=null)
