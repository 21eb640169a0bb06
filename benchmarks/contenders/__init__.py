"""The contenders of ``make bench``: each is a program of its own, started afresh for every round."""
