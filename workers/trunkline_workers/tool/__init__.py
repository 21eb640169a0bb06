"""The tool worker: carries out tools, each within its timeout, concurrency and rate."""
