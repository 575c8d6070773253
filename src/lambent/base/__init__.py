"""The ground everything stands on: clock, ids, ARNs, errors, limits, tasks, log, settings.

May import: the standard library only. Read first: `clock.py`, then `errors.py`.
"""
