"""The lines of `doctor` about how fast devices are."""

from __future__ import annotations

import msgspec

from tests.helpers.ceilings import made_up, this_cpu
from tfx_engine.protocol.ceilings import Ceiling
from tfx_workbench.commands.parser import command_parser
from tfx_workbench.commands.speeds import speeds


def lines(ceilings, reason=""):
    data = None if ceilings is None else msgspec.to_builtins(ceilings)
    return {check.name: check for check in speeds([{"device": "cuda", "ceilings": data, "reason": reason}])}


def test_what_was_measured_stands_beside_what_the_maker_publishes():
    here = made_up(msgspec.structs.replace(this_cpu(1), name="NVIDIA H200"), 5e13)
    found = lines(msgspec.structs.replace(here, bandwidth=Ceiling(per_s=4.1e12, spread_percent=2.0)))
    assert found["cuda float32"].detail == "50.0 TFLOP/s, rounds 1.0 % apart; published 67.0 TFLOP/s"
    assert found["cuda bandwidth"].detail == "4.10 TB/s, rounds 2.0 % apart; published 4.80 TB/s"
    assert found["cuda measured"].ok is True
    unknown = lines(made_up(this_cpu(1), 5e13))
    assert unknown["cuda float32"].detail == "50.0 TFLOP/s, rounds 1.0 % apart"


def test_a_busy_machine_is_told_to_measure_again():
    found = lines(msgspec.structs.replace(made_up(this_cpu(1)), others_percent=60.0))
    assert found["cuda measured"].ok is None
    assert "doctor --measure" in found["cuda measured"].hint


def test_a_device_that_was_not_measured_says_how_or_why_not():
    assert "doctor --measure" in lines(None)["cuda speed"].hint
    assert lines(None, "there is no space left")["cuda speed"].detail == "there is no space left"


def test_doctor_takes_the_flag():
    assert command_parser("doctor").parse_args(["--measure"]).measure is True
    assert command_parser("doctor").parse_args([]).measure is False
