"""Trunkline: event-driven AI agents on NATS JetStream, event-sourced in Postgres."""
