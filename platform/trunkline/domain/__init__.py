"""Frozen values that every other room speaks in: ids, events, journal entries, work items, specs, errors.

Imports nothing of Trunkline. No I/O, no clock.
"""
