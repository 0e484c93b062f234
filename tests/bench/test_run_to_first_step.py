"""From F5 to the first measured step in the throughput panel, in a real window with a real engine.

    python -m pytest tests/bench/test_run_to_first_step.py

The stages are the times since F5 at which the window knew of them. `its work` is what the worker itself needed for
that step and all that comes before it (building, two held-out batches, attention maps, three steps of warm-up);
`the road` is the rest: F5, service, worker, run file, reading, drawing.
"""

from __future__ import annotations

import statistics

import pytest

from tests.bench.windows import ROOT, window_says

LIMIT_S = 3.0
PRESSES = 5
STAGES = ["submitted", "file open", "build", "warmup", "first step", "measure"]
PRESETS = {"small GPT": "small_gpt.toml", "five techniques": "five_techniques/baseline.toml"}


def press(home, preset, cold=False, presses=1):
    config = ROOT / "resources" / "presets" / PRESETS[preset]
    said = window_says(home, "first_step", arguments=[config], cold=cold, presses=presses)
    return [one for one in said if one["what"] == "first step"]


def table(title, presses):
    """Print all presses; the median time to the first measured step on screen, in seconds."""
    names = [*STAGES, "on screen", "its work", "the road", "one step"]
    print(f"\n{title}\n{'press':>8}{'engine':>10}" + "".join(f"{name:>12}" for name in names))
    rows = []
    for number, said in enumerate(presses, start=1):
        stages = [said["stages"].get(stage, float("nan")) for stage in STAGES]
        rows.append([*stages, said["shown_s"], said["worker_s"], said["shown_s"] - said["worker_s"], said["step_s"]])
        print(f"{number:>8}{said['engine']:>10}" + "".join(f"{t:>10.2f} s" for t in rows[-1]))
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"{'median':>8}{'':>10}" + "".join(f"{t:>10.2f} s" for t in medians))
    return medians[len(STAGES)]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_first_measured_step_is_on_screen_in_three_seconds(tmp_path, preset):
    assert table(f"{preset}, warm worker", press(tmp_path, preset, presses=PRESSES)) <= LIMIT_S


def test_how_long_it_takes_while_the_worker_still_imports_torch(tmp_path):
    said = [one for _ in range(3) for one in press(tmp_path, "small GPT", cold=True)]
    table("small GPT, pressed as soon as the window was there", said)
