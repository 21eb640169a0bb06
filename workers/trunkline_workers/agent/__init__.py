"""The agent worker: leases instances, runs their handlers, appends what became true, and dispatches what was asked for.

The main path: ``service`` (a wake) → ``registry`` (lease, load) → ``activation`` (mail and outcomes become deliveries;
the handler answers with ``commands``) → ``turn`` (all of it as one append) → ``dispatch`` (after the commit).
"""
