"""Eyes and ears: sensors turn the outside world into events. They only publish, and keep no state.

Each event's identity (``source`` and ``id``) is derived from what was sensed, so that repeats after a crash, and
several replicas of a sensor, are harmless: the second of two equal events finds the first one's mailbox row.
"""
