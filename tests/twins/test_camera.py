"""Pictures: any alone equals that of the batch; marks as severe as the part's; masks where the picture differs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.trace import Signal, Trace
from twins.sensors.camera import KINDS, Camera, Inspections
from twins.sensors.drawing import normals
from twins.sensors.noise import address

CAMERA = Camera("q1")
PARTS = 300
SEVERITY = np.random.default_rng(4).exponential(0.4, (PARTS, 3))


def trace(seed=3):
    time_h = np.arange(PARTS + 1) * 0.5
    columns = {"part": np.arange(PARTS + 1) - 1.0, "pass": np.zeros(PARTS + 1)}
    columns |= {kind: np.r_[0.0, SEVERITY[:, k]] for k, kind in enumerate(KINDS)}
    return Trace(seed, 0.0, 200.0, {("q1", name): Signal.step(time_h, value) for name, value in columns.items()})


@given(st.integers(0, PARTS - 1), st.integers(0, 12))
def test_any_stretch_of_pictures_equals_that_stretch_of_all(start, count):
    count = min(count, PARTS - start)
    whole, some = CAMERA.shoot(trace()), CAMERA.shoot(trace(), start, count)
    for all_, part in zip(whole, some, strict=True):
        assert np.array_equal(all_[start : start + count], part)


@given(st.integers(0, 2**40), st.integers(0, 100))
def test_any_stretch_of_normals_equals_that_stretch_of_more(first, count):
    more, some = np.empty(130, np.float32), np.empty(count, np.float32)
    where = address(1, "m", "x")
    normals(first, np.uint64(0), where, more)
    normals(first + 7, np.uint64(0), where, some)
    assert np.array_equal(more[7 : 7 + count], some)


def test_normals_are_standard_and_independent():
    x = np.empty(400_000, np.float32)
    normals(0, np.uint64(3), address(1, "m", "x"), x)
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1) < 0.01
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.mean(x[lag:] * x[:-lag])) < 0.01


def test_another_run_part_or_pass_is_another_picture():
    one = CAMERA.draw(1, np.array([5]), np.array([0]), SEVERITY[:1]).pictures_NxPxP
    for seed, part, passes in ((2, 5, 0), (1, 6, 0), (1, 5, 1)):
        other = CAMERA.draw(seed, np.array([part]), np.array([passes]), SEVERITY[:1]).pictures_NxPxP
        assert np.mean(one == other) < 0.2


def test_grey_lies_on_the_camera_s_levels():
    pictures = CAMERA.shoot(trace()).pictures_NxPxP
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert np.allclose(pictures * 255, np.rint(pictures * 255), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_is_where_the_marks_change_the_picture(kind):
    """Without noise, the picture less the unmarked one differs by `seen` inside the mask, and nowhere else."""
    still = replace(CAMERA, noise=0.0, levels=65536)
    marked = np.zeros((PARTS, 3))
    marked[:, KINDS.index(kind)] = SEVERITY[:, 0]
    number, zero = np.arange(PARTS), np.zeros(PARTS)
    shots, clean = (still.draw(1, number, zero, s) for s in (marked, np.zeros_like(marked)))
    change = np.abs(shots.pictures_NxPxP - clean.pictures_NxPxP)
    sure = np.abs(change - still.seen) > 1e-4
    assert np.array_equal((change >= still.seen)[sure], shots.mask(kind)[sure])
    assert not clean.marks_NxPxP.any()
    assert not any(shots.mask(other).any() for other in KINDS if other != kind)
    # More severe is seen on more pixels, and a part without marks on none.
    area_N = shots.mask(kind).sum((1, 2))
    severe = SEVERITY[:, 0]
    means = [area_N[(severe >= a) & (severe < b)].mean() for a, b in ((0, 0.15), (0.15, 0.6), (0.6, 9))]
    assert means[0] < means[1] < means[2]


def test_severity_shows_through_the_noise_and_the_planted_lack_of_marks_does_not():
    """The matched filter that knows the mask tells severe from faint; with contrast 0 it cannot."""
    marked = np.zeros((PARTS, 3))
    marked[:, 2] = np.where(np.arange(PARTS) % 2, 1.0, 0.0)
    number, zero = np.arange(PARTS), np.zeros(PARTS)

    def gap(camera):
        shots, where = camera.draw(1, number, zero, marked), CAMERA.draw(1, number, zero, np.full((PARTS, 3), 1.0))
        inside = where.mask("stain")
        value = np.array([p[m].mean() for p, m in zip(shots.pictures_NxPxP, inside, strict=True)])
        return value[0::2].mean() - value[1::2].mean()

    assert gap(CAMERA) > 0.04
    assert abs(gap(replace(CAMERA, stain=0.0))) < 0.02


def test_a_trace_s_first_segment_is_no_inspection_of_its_own():
    found = Inspections.of(trace(), "q1")
    assert found.part.tolist() == list(range(PARTS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Camera(""), "station"),
        (lambda: Camera("q1", pixels=4), "pixels is 4; it must be from 8 to 256"),
        (lambda: Camera("q1", noise=-0.1), "noise"),
        (lambda: Camera("m7").shoot(trace()), "'m7' inspects nothing, so there is nothing to see; stations that"),
        (lambda: CAMERA.shoot(trace(), 290, 20), "pictures 290 to 309 of q1 were asked for; the trace has 300"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        make()
