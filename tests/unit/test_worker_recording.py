"""What a worker itself keeps of a run: no more for a longer one."""

from __future__ import annotations

from tfx_engine.worker.recording import Newest


def test_of_numbers_without_end_the_newest_are_kept_in_order_and_all_are_counted() -> None:
    kept = Newest(most=5)
    assert list(kept.values()) == []
    for number in range(13):
        kept.append(float(number))
        assert list(kept.values()) == [float(n) for n in range(max(0, number - 4), number + 1)]
    assert kept.count == 13
