"""Faults by the thousand: processes killed, writes refused, disks full, files cut and flipped. See README.md.

Nothing here is collected by pytest; `tests/unit/test_survival.py` runs a little of each.
"""
