"""NATS: connection, topology, publishing, consuming. The only importer of nats and faststream."""

from trunkline.domain.sparing import without

# aiohttp is for websockets (see ``line``), and uvicorn for serving apps of FastStream's own.
with without("aiohttp", "uvicorn"):
    import faststream.nats  # noqa: F401
    import nats.aio.transport  # noqa: F401
