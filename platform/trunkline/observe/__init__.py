"""What a process shows of itself: logs, metrics, health, and fault points for tests.

Nothing else imports structlog or prometheus_client.
"""
