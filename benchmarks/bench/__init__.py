"""The harness of ``make bench``: it starts servers and contenders in turn, and counts what they do and cost."""
