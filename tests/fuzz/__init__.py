"""Whatever bytes a reader is given: it reads them, or refuses them in a sentence.

`python -m tests.fuzz` is the long campaign; `tests/unit/test_fuzz.py` runs a few of the same executions in the suite.
"""
