"""Postgres, which holds every fact: one file a table or a duty, and the SQL is to be read as SQL.

Nothing else imports SQLAlchemy or psycopg. SQLAlchemy only describes the tables (``schema``) for the migrations; what
runs is SQL text, executed by psycopg through the one pool of ``database.Database``, which every function takes first.
"""
