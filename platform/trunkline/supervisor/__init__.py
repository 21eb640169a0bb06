"""The watch over the exchange, one duty a file. Several supervisors may run; one leads, and only that one acts.

``roster`` finds the dead by ``judge``'s rule, and has ``reclaim`` free what they held; ``reconcile`` wakes what was
forgotten; ``replies`` reads on for those who left; ``alarms`` fires timers; ``deadletters`` keeps what was given up.
All of it may be done twice, or by two at once, and does no harm then.
"""
