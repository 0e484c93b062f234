"""Numbers read as people write them, everywhere the same."""

from __future__ import annotations

import math

import pytest

from tfx_workbench.exhibits import format as write

NAN = math.nan
GIB = 2**30


@pytest.mark.parametrize(("value", "text"), [
    (38612.4, "38,612"), (1234567.0, "1,234,567"), (15.63, "15.63"), (0.0123, "0.01230"), (0, "0"), (-3.8, "−3.800"),
    (1.2e-7, "1.200e−7"), (-0.0, "0"), (NAN, "–"), (math.inf, "∞"), (-math.inf, "−∞"), (2.5e16, "2.500e16"),
])
def test_a_number_has_four_significant_digits_and_its_thousands_apart(value, text):
    assert write.number(value) == text


def test_a_plain_number_has_no_zeros_that_say_nothing():
    assert [write.plain(v) for v in (5.0, 2.50, 1200.0, 0.1)] == ["5", "2.5", "1,200", "0.1"]


@pytest.mark.parametrize(("value", "text"), [
    (0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (15.6 * GIB, "15.6 GiB"),
    (300 * 2**20, "300 MiB"),
    (1023.99 * 2**20, "1.00 GiB"), (3 * 2**40, "3.00 TiB"), (NAN, "–"), (-2 * GIB, "−2.00 GiB"),
])
def test_bytes_are_written_in_the_largest_binary_unit(value, text):
    assert write.size(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (38612, "38.6 k tokens/s"), (870, "870 tokens/s"), (1_250_000, "1.25 M tokens/s"), (NAN, "–"),
])
def test_throughput_is_written_in_thousands(value, text):
    assert write.rate(value) == text


@pytest.mark.parametrize(("ms", "text"), [
    (0.0123, "12.3 µs"), (212, "212 ms"), (1240, "1.24 s"), (48_000, "48.0 s"), (125_000, "2 min 05 s"),
    (59_999, "1 min 00 s"), (3600_000 * 3 + 20 * 60_000, "3 h 20 min"), (NAN, "–"),
])
def test_a_time_is_written_in_the_units_that_matter(ms, text):
    assert write.duration(ms) == text


@pytest.mark.parametrize(("value", "text"), [
    (21.44, "+21.4 %"), (-22.0, "−22.0 %"), (0.04, "0.0 %"), (-0.04, "0.0 %"), (NAN, "–"), (12345.6, "+12,345.6 %"),
])
def test_a_difference_in_per_cent_has_its_sign_and_a_proper_minus(value, text):
    assert write.signed_percent(value) == text


def test_an_interval_and_a_spread_say_nothing_where_nothing_is_known():
    assert write.interval(-22.61, -21.5) == "[−22.6, −21.5]"
    assert write.interval(NAN, 1) == ""
    assert write.spread(100, 99.6, 100.4) == "± 0.4 %"
    assert write.spread(840, 306, 6992) == "[306.0, 6,992]"
    assert write.spread(100, NAN, 100) == ""
    assert write.spread(0, -1, 1) == ""


def test_counts_have_a_decimal_prefix():
    assert [write.count(v) for v in (354.8e6, 4_800_000, 999, 12)] == ["354.8 M", "4.800 M", "999", "12"]


def test_a_scale_turns_all_values_of_an_axis_into_one_unit():
    scale = write.byte_scale(15.6 * GIB)
    assert (scale.unit, scale.text(0.5 * GIB)) == ("GiB", "0.500 GiB")
    assert write.signed(3.1) == "+3.10" and write.signed(-3.8) == "−3.80" and write.signed(0) == "0"
