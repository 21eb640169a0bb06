"""Pure decisions, no I/O and no clock: what a handler does next, what a journal comes to, when to retry,
whom an event wakes.
"""
