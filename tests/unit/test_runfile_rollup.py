"""Rollups agree with the steps, exactly, whatever happens to the writer."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile.arrays import unpack
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR, Rollups, reading
from tfx_engine.runfile.tables import ROLLUP_COLUMNS
from tfx_engine.runfile.writer import RunWriter

LOSS = ROLLUP_COLUMNS.index("loss")
any_reading = st.one_of(st.none(), st.floats(width=32), st.integers(-(2**40), 2**40))


def rows_of(values):
    """The rollup rows over steps with these losses: {(level, bucket): (first, last, data, layers)}."""
    rollups, found = Rollups(), {}
    for step, value in enumerate(values, start=1):
        layers = None if value is None else np.float32([value, 1.0])
        columns = {"step": step, "t_ms": float(step), "loss": value, "layer_grad_norm": layers}
        for level, bucket, first, last, _, data, layer_grad_norm, _ in rollups.add(reading(columns)):
            found[level, bucket] = first, last, unpack(data), layer_grad_norm and unpack(layer_grad_norm)
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(any_reading, max_size=3 * FACTOR**2))
def test_minimum_maximum_and_count_are_exact_and_the_sum_is_that_of_the_values(values):
    found = rows_of(values)
    assert {level for level, _ in found} == {n for n in (1, 2) if len(values) >= FACTOR**n}
    for (level, bucket), (first, last, data, _) in found.items():
        size = FACTOR**level
        assert (first, last) == (bucket * size + 1, (bucket + 1) * size)
        known = [float(v) for v in values[first - 1 : last] if v is not None and not math.isnan(v)]
        low, high, total, count = data[LOSS]
        assert count == len(known)
        if known:
            assert (low, high) == (min(known), max(known))
            if np.isfinite(known).all():
                assert total == pytest.approx(math.fsum(known), rel=1e-12, abs=1e-12 * sum(map(abs, known)))
        else:
            assert math.isnan(low) and math.isnan(high) and total == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(any_reading, min_size=FACTOR, max_size=FACTOR**2))
def test_every_spike_of_a_layer_is_in_its_buckets(values):
    for first, last, _, layers in rows_of(values).values():
        known = np.array([v for v in values[first - 1 : last] if v is not None], dtype=np.float32).astype(float)
        if not len(known):
            assert layers is None
            continue
        np.testing.assert_array_equal(layers[0], [np.fmax.reduce(known), 1.0])
        np.testing.assert_array_equal(layers[2], [np.count_nonzero(~np.isnan(known)), len(known)])


def write_steps(path, first, last, values):
    with RunWriter(path) as writer:
        for step in range(first, last + 1):
            value = values[step - 1]
            layers = np.float32([value, -value])
            writer.step(step=step, phase="measure", t_ms=float(step), loss=value, layer_grad_norm=layers)


def rollup_rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM rollup ORDER BY level, bucket").fetchall()


def test_a_writer_that_takes_up_where_another_ended_writes_the_same_rollups(tmp_path):
    values = np.random.default_rng(0).normal(size=FACTOR**2 * 2 + 100)
    whole, pieces = tmp_path / "whole.tfx", tmp_path / "pieces.tfx"
    for path in (whole, pieces):
        create(path, make_config(), "")
    write_steps(whole, 1, len(values), values)
    for first, last in ((1, 7), (8, 8), (9, 300), (301, 512), (513, len(values))):
        write_steps(pieces, first, last, values)
    expected, found = rollup_rows(whole), rollup_rows(pieces)
    assert len(expected) == 38 + 2
    assert found == expected


def test_a_long_run_is_charted_from_few_rows_with_every_spike(tmp_path):
    steps, path = 120_000, tmp_path / "long.tfx"
    create(path, make_config(), "")
    rng = np.random.default_rng(1)
    values = rng.normal(1.0, 0.1, steps)
    spikes = rng.choice(steps, 20, replace=False)
    values[spikes] = 50.0 + np.arange(20)
    with RunWriter(path) as writer:
        for step, value in enumerate(values.tolist(), start=1):
            writer.step(step=step, phase="measure", t_ms=step * 1.5, step_ms=value)
    column = ROLLUP_COLUMNS.index("step_ms")
    with RunReader(path) as reader:
        coarse = reader.rollup(2)
        finer = reader.rollup(1, after_bucket=(coarse["bucket"][-1] + 1) * FACTOR - 1)
        tail = reader.steps(after_seq=int(finer["bucket"][-1] + 1) * FACTOR)
    assert len(coarse["bucket"]) + len(finer["bucket"]) + len(tail["seq"]) < 500
    covered = coarse["data"][:, column, 3].sum() + finer["data"][:, column, 3].sum() + len(tail["seq"])
    assert covered == steps
    highest = np.concatenate([coarse["data"][:, column, 1], finer["data"][:, column, 1], tail["step_ms"]])
    bucket_of_spike = {int(s) // FACTOR**2: float(values[s]) for s in sorted(spikes, key=lambda s: values[s])}
    assert {b: highest[b] for b in bucket_of_spike if b < len(coarse["bucket"])} == {
        b: v for b, v in bucket_of_spike.items() if b < len(coarse["bucket"])
    }
    assert highest.max() == values.max() and coarse["data"][:, column, 0].min() >= values.min()
