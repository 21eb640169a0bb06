"""What a process shows of itself: logs, metrics, health, and fault points for tests.

Nothing else imports structlog or prometheus_client.
"""

from trunkline.domain.sparing import without

with without("rich"):  # for tracebacks in colours, which are not how our lines look
    import structlog  # noqa: F401
