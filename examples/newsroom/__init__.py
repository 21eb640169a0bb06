"""The newsroom: a desk, and a team for each story."""
