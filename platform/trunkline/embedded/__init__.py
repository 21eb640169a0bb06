"""NATS and Postgres from wheels, as child processes of this one: for ``trunkline dev``, the demo and the tests."""
