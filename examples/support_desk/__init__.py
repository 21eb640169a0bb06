"""The support desk: orders, triage and refunds."""
