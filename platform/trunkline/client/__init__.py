"""The way to the exchange from other programs: ``Client``, over HTTP, or straight to Postgres and NATS."""
