"""Why a step counts in no time statistics: what the program did itself, and disturbances from outside.

Where more of a run's measured steps were disturbed than were not, being disturbed was its ordinary state: then they
count after all, since the few others would say nothing of it, and their number is shown.
"""

from __future__ import annotations

MEMORY_PROBE = "memory probe"
PROFILE = "profile"
AFTER_A_PAUSE = "after a pause"
STOPPED = "the process was stopped, or the computer slept"
NEVER = frozenset({MEMORY_PROBE, PROFILE, AFTER_A_PAUSE, STOPPED})  # count, however many there are


def is_disturbance(taint: str | None) -> bool:
    """Whether it came from outside: other programs, clocks that were lowered."""
    return bool(taint) and taint not in NEVER


def do_disturbed_count(disturbed: int, clean: int) -> bool:
    """Whether disturbed steps count, where there are so many of both kinds."""
    return disturbed > clean
