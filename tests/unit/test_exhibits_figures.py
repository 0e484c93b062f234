"""The figures in the exhibits are those that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.exhibits import views
from tests.helpers.synthetic_run import LEAKS, make_config, running, write_five, write_run
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.exhibits.attention import in_words
from tfx_workbench.exhibits.exhibit import Curve, HeatMap, Line, Marker, Span, Stack
from tfx_workbench.exhibits.format import byte_scale, size
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.runs.summary import highest_probe

SIZES = {"layers": 3, "heads": 2, "context": 16, "width": 32}


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return views(write_five(tmp_path_factory.mktemp("five"), steps=60, **SIZES), focus=0)


def layers(exhibit, kind, plot=0):
    return [layer for layer in exhibit.plots[plot].layers if isinstance(layer, kind)]


# ---------------------------------------------------------------------------------------------- memory


def test_the_stack_adds_up_to_the_peak_and_the_peak_is_marked(five):
    exhibit = exhibit_type("memory").make(five, {})
    probe = highest_probe(five[0].data.memory_probes)
    unit = byte_scale(max(highest_probe(v.data.memory_probes).peak_bytes for v in five))
    (stack,) = layers(exhibit, Stack)
    assert stack.values.sum(axis=1).max() * unit.size == pytest.approx(probe.peak_bytes)
    (marker,) = layers(exhibit, Marker)
    assert marker.y * unit.size == pytest.approx(probe.peak_bytes)
    assert size(probe.peak_bytes) in str(marker.label) and size(probe.peak_bytes) in str(exhibit.sentence)
    assert [str(s.label) for s in layers(exhibit, Span)] == ["forward", "backward", "optimizer"]
    assert exhibit.plots[0].y.unit == unit.unit and exhibit.plots[0].y.low == 0


def test_the_total_of_every_other_run_lies_over_the_stack(five):
    exhibit = exhibit_type("memory").make(five, {})
    assert [str(c.label) for c in layers(exhibit, Curve)] == [v.label for v in five[1:]]
    assert {c.colour for c in layers(exhibit, Curve)} == {v.colour_name for v in five[1:]}


def test_over_the_run_there_is_the_composition_at_each_probe_and_the_process_between(five):
    exhibit = exhibit_type("memory").make(five[:1], {"view": "over"})
    (stack,) = layers(exhibit, Stack)
    probes = five[0].data.memory_probes
    assert stack.x[: len(probes)].tolist() == [p.step for p in probes]
    assert "process memory" in str(layers(exhibit, Curve)[0].label)
    assert len(layers(exhibit, Curve)[0].x) == 63


def test_over_the_run_on_a_device_its_own_figures_stand_between_the_probes_and_not_the_hosts(tmp_path):
    path = tmp_path / "device.tfx"
    with running(path, steps=20, **SIZES) as run:
        run.advance(10)
        run.writer.fact("device", {"name": "Synthetic device", "kind": "cuda"})
        run.writer.flush()
        exhibit = exhibit_type("memory").make(views([path]), {"view": "over"})
    assert [curve.key for curve in layers(exhibit, Curve)] == ["allocated_bytes", "reserved_bytes"]


def test_a_capacity_that_fits_is_a_line_and_one_that_does_not_is_said(tmp_path):
    for factor, drawn in ((1.5, True), (100.0, False)):
        path = tmp_path / f"{factor}.tfx"
        with running(path, steps=20, **SIZES) as run:
            run.advance(10)
            run.writer.fact("capacity_bytes", int(run.numbers.peak_bytes * factor))
            run.writer.flush()
            exhibit = exhibit_type("memory").make(views([path]), {})
        assert bool(layers(exhibit, Line)) is drawn
        assert any("of this device's" in str(n) for n in exhibit.notes) is not drawn


def test_a_timeline_of_many_moments_is_thinned_and_keeps_its_peak(tmp_path):
    path = tmp_path / "long.tfx"
    count, width = 50_000, len(CATEGORIES)
    rows = np.ones((count, width), dtype=np.int64) * 1000
    rows[31_234] = 9999
    with running(path, steps=5, **SIZES) as run:
        run.writer.memory_probe(
            step=4, phase="measure", peak_bytes=9999 * width, composition=dict.fromkeys(CATEGORIES, 9999),
            category_peak=dict.fromkeys(CATEGORIES, 9999), timeline_ms=np.linspace(0, 10, count), timeline=rows,
            phases=[("forward", 0, 10)],
        )
        run.writer.flush()
        exhibit = exhibit_type("memory").make(views([path]), {})
    (stack,) = layers(exhibit, Stack)
    assert len(stack.x) < 1000
    assert stack.values.sum(axis=1).max() == pytest.approx(9999 * width / 1024)


# ---------------------------------------------------------------------------------------------- throughput


def test_the_median_is_that_of_the_steps_that_count(five):
    exhibit = exhibit_type("throughput").make(five, {})
    measured = five[0].data.measured("tokens_per_s")
    median = next(layer for layer in layers(exhibit, Line) if layer.colour == five[0].colour_name)
    scale = {"k tokens/s": 1e3, "tokens/s": 1.0, "M tokens/s": 1e6}[exhibit.plots[0].y.unit]
    assert median.value * scale == pytest.approx(np.median(measured))
    assert median.low <= median.value <= median.high
    assert "±" in str(exhibit.sentence) and "median" in str(exhibit.sentence)


def test_steps_that_do_not_count_are_dots_and_are_counted(five):
    exhibit = exhibit_type("throughput").make(five[:1], {})
    line, dots = layers(exhibit, Curve)
    series = five[0].data.series("tokens_per_s")
    left_out = int(np.count_nonzero(~series.phase_mask & (series.x > 3)))
    assert left_out > 0 and len(line.x) + len(dots.x) == 63
    assert not dots.line and not dots.sets_range
    assert f"{left_out} step" in str(exhibit.sentence)


def test_a_long_run_is_a_band_that_shows_every_spike(tmp_path):
    path = write_run(tmp_path / "long.tfx", steps=3000, **SIZES)
    view = views([path])
    exhibit = exhibit_type("throughput").make(view, {})
    curve = layers(exhibit, Curve)[0]
    assert len(curve.x) <= 800
    steps = view[0].data.series("tokens_per_s", points=10_000)
    scale = np.nanmax(steps.mean) / np.nanmax(curve.high)
    assert any(scale == pytest.approx(unit) for unit in (1.0, 1e3, 1e6))
    assert np.nanmin(curve.low) * scale == pytest.approx(np.nanmin(steps.mean))


# ---------------------------------------------------------------------------------------------- loss


def test_training_is_a_line_and_held_out_is_dashed_in_the_same_colour(five):
    exhibit = exhibit_type("loss").make(five, {})
    for view in five:
        training, held_out = [c for c in layers(exhibit, Curve) if c.colour == view.colour_name]
        assert (training.style, held_out.style) == ("solid", "dashed")
        assert held_out.y.tolist() == [e.held_out_loss for e in view.data.evaluations]


def test_by_time_the_axis_is_in_seconds_of_training(five):
    exhibit = exhibit_type("loss").make(five, {"over": "time"})
    assert exhibit.plots[0].x.unit == "s"
    longest = max(float(np.ptp(v.data.series("loss", x="t_s").x)) for v in five)
    assert exhibit.plots[0].x.high == pytest.approx(longest)
    assert all(c.x.min() >= 0 for c in layers(exhibit, Curve))


# ---------------------------------------------------------------------------------------------- gradients


def test_the_heat_map_has_a_row_per_layer_and_names_the_largest(five):
    exhibit = exhibit_type("gradients").make(five, {})
    (heat,) = layers(exhibit, HeatMap)
    steps, values = five[0].data.layers("layer_grad_norm")
    assert heat.values.shape == (5, len(steps)) and heat.row_names[1] == "block 1"
    assert np.array_equal(heat.values, values.T)
    assert (heat.x_low, heat.x_high) == (0.5, 63.5)
    step, layer = np.unravel_index(values.argmax(), values.shape)
    assert f"{heat.row_names[layer]}, step {steps[step]}" in str(exhibit.sentence)


def test_the_profile_shows_what_placement_does_to_the_norms(five):
    exhibit = exhibit_type("gradients").make(five, {"view": "profile"})
    by_name = {str(c.label): c.y for c in layers(exhibit, Curve)}
    assert by_name["post-norm"][-2] / by_name["post-norm"][1] > 1.5
    assert by_name["baseline"][-2] / by_name["baseline"][1] < 1
    assert "block 3 has" in str(exhibit.sentence)


def test_a_layer_without_trained_weights_is_a_gap_in_its_place(tmp_path):
    paths = []
    for name, names, norms in (("all", ["embedding", "block 1", "block 2", "head"], [4, 1, 2, 3]),
                               ("adapter", ["embedding", "block 1", "block 2"], [np.nan, 1, 2])):
        with running(tmp_path / f"{name}.tfx", make_config(name, steps=9)) as run:
            run.writer.fact("layer_names", names)
            for step in range(1, 9):
                norm = np.array(norms, dtype=np.float32)
                run.writer.step(step=step, phase="measure", t_ms=float(step), layer_grad_norm=norm)
            run.writer.flush()
            paths.append(run.writer.path)
    whole, adapter = layers(exhibit_type("gradients").make(views(paths, focus=1), {"view": "profile"}), Curve)[::-1]
    if str(whole.label) == "adapter":
        whole, adapter = adapter, whole
    assert whole.y.tolist() == [4, 1, 2, 3]
    assert adapter.y[1:3].tolist() == [1, 2] and np.isnan(adapter.y[[0, 3]]).all()


# ---------------------------------------------------------------------------------------------- attention


def test_the_newest_capture_is_shown_unless_another_is_chosen(five):
    kind = exhibit_type("attention")
    captures = five[0].data.attention_captures
    assert f"step {captures[-1].step}" in str(kind.make(five, {}).sentence)
    assert f"step {captures[0].step}" in str(kind.make(five, {"capture": "0"}).sentence)
    chosen = kind.make(five, {"layer": "1", "head": "1"})
    assert "layer 2 · head 2" in str(chosen.sentence)
    expected = five[0].data.attention(captures[-1].capture, captures[-1].layers[1])[1]
    assert np.array_equal(chosen.images.large, expected.astype(np.float32))


@pytest.mark.parametrize("choices", [
    {"capture": "99", "layer": "99", "head": "99"}, {"capture": "-1", "layer": "x", "head": ""},
])
def test_a_head_that_is_not_there_is_another_one(five, choices):
    images = exhibit_type("attention").make(five, choices).images
    assert images.layer < len(images.maps) and images.head < len(images.maps[0])


def test_tokens_are_shown_as_they_are_written(five):
    images = exhibit_type("attention").make(five, {}).images
    assert len(images.tokens) == 16 and all(images.tokens)


def test_a_probed_head_is_shown_in_full_resolution(tmp_path):
    with running(tmp_path / "run.tfx", make_config(steps=20, **SIZES)) as run:
        pooled = [np.full((2, 4, 4), 0.25, np.float16) for _ in range(3)]
        fine = [np.full((1, 8, 8), 0.125, np.float16)]
        run.advance(2)
        run.writer.attention(7, 2, 1.0, pooled, pool=2)
        run.writer.attention(8, 5, 1.0, fine, pool=1, head=1, layer_indices=[2])
        run.writer.attention(9, 9, 1.0, pooled, pool=2)
        run.writer.flush()
        view = views([run.writer.path])
        kind = exhibit_type("attention")
        before = "7"
        probed = kind.make(view, {"layer": "2", "head": "1", "capture": before})
        assert probed.images.large.shape == (8, 8) and "step 5" in str(probed.sentence)
        assert kind.make(view, {"layer": "1", "head": "1", "capture": before}).images.large.shape == (4, 4)
        assert kind.make(view, {"layer": "2", "head": "1"}).images.large.shape == (4, 4)


def test_words_about_a_map_are_those_of_the_definitions():
    def words(weights, pool=1):
        return str(in_words(np.asarray(weights, dtype=float), pool))

    tokens = 8
    assert "entropy 0 bit · first-token mass 0.12 · mean distance 0" in words(np.eye(tokens))
    assert "entropy 3.00 bit · first-token mass 0.12" in words(np.full((tokens, tokens), 1 / tokens))
    first = np.zeros((tokens, tokens))
    first[:, 0] = 1
    assert "first-token mass 1.0 · mean distance 3.5" in words(first)
    assert "≥" in words(np.full((4, 4), 1 / 8), pool=2) and "2 × 2" in words(np.full((4, 4), 1 / 8), pool=2)
    assert words(np.zeros((4, 4))) == words(np.full((4, 4), np.nan)) == "no weight was read"


# ---------------------------------------------------------------------------------------------- device


def test_the_device_shows_what_was_read_and_says_why_the_rest_is_missing(tmp_path):
    with running(tmp_path / "run.tfx", steps=40, **SIZES) as run:
        run.advance(5)
        for second in range(5):
            run.writer.device_sample(t_ms=second * 1000.0, cpu_percent=50.0, rss_bytes=2**30, ram_used_bytes=2**33)
        run.writer.missing("power_w", "the driver says NotSupported")
        run.writer.flush()
        exhibit = exhibit_type("device").make(views([run.writer.path]), {"show": "computer"})
    assert [p.key for p in exhibit.plots] == ["cpu_percent", "rss_bytes", "ram_used_bytes"]
    assert (exhibit.plots[0].y.low, exhibit.plots[0].y.high) == (0, 100)
    assert "power missing: the driver says NotSupported" in str(exhibit.notes[0])


# ------------------------------------------------------------------------------------------ audit


def test_what_is_broken_stands_first_and_in_red_with_its_evidence(five, tmp_path):
    (leaks,) = views([write_run(tmp_path / "leaks.tfx", make_config(LEAKS))])
    exhibit = exhibit_type("audit").make([leaks], {})
    (table,) = exhibit.tables
    assert [str(row[0]) for row in table.rows] == ["broken", "not tried", "holds", "holds"]
    assert table.colours == ("worse", "muted", "better", "better")
    assert [str(word) for word in table.rows[0][1:]] == [
        "mask = causal", "hides the tokens that it should",
        "In layer 1 token 6 reads token 7, which it should not see.",
    ]  # fmt: skip
    assert str(exhibit.sentence) == "1 broken · 2 claims hold · 1 not tried"
    (note,) = exhibit.notes
    layers = leaks.data.info.config["model"]["layers"]
    assert f"1 of {layers} layers, 8 of " in str(note) and "run's weights" in str(note)
    sound = exhibit_type("audit").make(five, {})
    assert "broken" not in str(sound.sentence) and "3 claims hold" in str(sound.sentence)


def test_a_run_that_was_not_audited_says_why(tmp_path):
    (live,) = views([write_run(tmp_path / "failed.tfx", status="failed")])
    exhibit = exhibit_type("audit").make([live], {})
    assert not exhibit.tables and "not audited" in str(exhibit.empty)
