"""HTTP: requests, signals and events come in and are answered when they are committed; runs and journals are read.

``server`` runs it, ``app`` puts it together, ``desk`` is what the routes stand on, ``problems`` is how it says no.
"""
