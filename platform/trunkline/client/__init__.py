"""The client, over HTTP or directly. Not built yet."""
