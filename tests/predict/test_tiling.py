from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierx.predict.tiling import Strip, Tiler, cut

NAMED = (1, 209, 972, 1023, 1024, 1025, 1200, 1996)


def identity(patches):
    return np.stack([patch.values for patch in patches])


def run(values, valid=None, *, network=identity, wanted=None, classes=None, **how):
    """Run a network over an array; return the result, what was wanted and the patches run."""
    valid = np.ones(values.shape[1:], bool) if valid is None else valid
    wanted = valid if wanted is None else wanted
    seen = []

    def read(first, last):
        rows = slice(first, last)
        return Strip(values[:, rows], valid[rows], wanted[rows])

    def counted(patches):
        seen.extend(patches)
        return network(patches)

    tiler = Tiler(values.shape[1:], classes=classes or len(values), **how)
    parts = list(tiler.run(read, counted))
    result = np.concatenate([part for part, _, _ in parts], axis=1)
    return result, np.concatenate([part for _, part, _ in parts]), seen


def ramp(rows, columns, bands=1):
    values = np.arange(bands * rows * columns, dtype=np.float32)
    return values.reshape(bands, rows, columns)


def test_nine_tenths_of_a_patch_are_its_middle_972():
    # int((1 - sqrt(0.9)) 1024 / 2) = 26 on each side; the first patch keeps its outer side.
    spans = cut(5000, 1024, 0.9)
    assert (spans[0].start, spans[0].first, spans[0].last) == (0, 0, 998)
    assert (spans[1].start, spans[1].first, spans[1].last) == (972, 998, 1970)
    assert spans[-1].start == 5000 - 1024
    assert spans[-1].last == 5000


@pytest.mark.parametrize("length", NAMED)
def test_named_lengths_are_covered_once(length):
    spans = cut(length, 1024, 0.9)
    assert spans[0].first == 0
    assert spans[-1].last == length
    for one, other in pairwise(spans):
        assert one.last == other.first
    assert len(spans) == {1025: 2, 1200: 2, 1996: 2}.get(length, 1)


@given(
    length=st.integers(1, 5000),
    patch=st.sampled_from([16, 64, 100, 1024]),
    keep=st.floats(0.05, 1),
)
def test_spans_partition_the_axis_within_their_patches(length, patch, keep):
    spans = cut(length, patch, keep)
    margin = int((1 - keep**0.5) * patch / 2)
    kept = [pixel for span in spans for pixel in range(span.first, span.last)]
    assert kept == list(range(length))
    for index, span in enumerate(spans):
        assert 0 <= span.start <= span.first < span.last <= max(span.start + patch, length)
        assert span.start + patch <= max(length, patch)
        # Inner sides keep away from the patch's own edge.
        assert index == 0 or span.first - span.start >= margin
        assert index == len(spans) - 1 or span.start + patch - span.last >= margin


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    patch=st.sampled_from([32, 64, 100]),
    keep=st.floats(0.3, 1),
    batch=st.integers(1, 5),
)
def test_an_identity_network_gives_the_input_back(rows, columns, patch, keep, batch):
    values = ramp(rows, columns, bands=2)
    result, wanted, _ = run(values, patch_px=patch, keep=keep, batch=batch)
    assert np.array_equal(result, values)
    assert wanted.all()


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (209, 209), (972, 972), (1023, 1023), (1024, 1024), (1025, 1025), (1200, 1200),
     (1996, 1996), (1, 3000), (800, 3000), (3772, 4688)],
)  # fmt: skip
def test_named_sizes_come_back_bit_for_bit_at_1024(shape):
    values = ramp(*shape)
    result, _, seen = run(values)
    assert result.dtype == np.float32
    assert np.array_equal(result, values)
    assert all(patch.values.shape == (1, 1024, 1024) for patch in seen)
    assert len(seen) == Tiler(shape).patches


def box_mean(patches, reach=3):
    """Sum over squares of 7 x 7 pixels, zero beyond the patch: it sees 3 pixels far."""
    from scipy.ndimage import convolve

    kernel = np.ones((2 * reach + 1, 2 * reach + 1))
    return np.stack(
        [[convolve(band, kernel, mode="constant") for band in patch.values] for patch in patches]
    ).astype(np.float32)


def test_tiled_and_untiled_agree_inside():
    # Whole numbers below 2^24 are summed without rounding, so any difference would be a seam.
    values = np.random.default_rng(0).integers(0, 1000, (1, 333, 401)).astype(np.float32)
    tiled, _, _ = run(values, network=box_mean, patch_px=64, keep=0.7)
    whole, _, _ = run(values, network=box_mean, patch_px=401, keep=1.0)
    assert np.array_equal(tiled[:, 3:-3, 3:-3], whole[:, 3:330, 3:-3])


def test_invalid_patches_are_skipped_and_others_are_not():
    values = ramp(300, 300)
    valid = np.zeros((300, 300), bool)
    valid[290, 290] = True
    result, wanted, seen = run(values, valid, patch_px=64)
    assert len(seen) == 1
    assert np.array_equal(wanted, valid)
    assert result[0, 290, 290] == values[0, 290, 290]
    assert np.count_nonzero(result) == 1


def test_pixels_outside_the_area_of_interest_are_read_but_not_written():
    values = ramp(100, 100)
    wanted = np.zeros((100, 100), bool)
    wanted[:50] = True
    result, _, seen = run(values, wanted=wanted, patch_px=64)
    assert np.array_equal(result[0, :50], values[0, :50])
    assert not result[0, 50:].any()
    assert all(patch.valid.all() for patch in seen)


def test_a_scene_smaller_than_a_patch_is_mirrored():
    values = ramp(3, 5)
    _, _, [patch] = run(values, patch_px=16)
    assert np.array_equal(patch.values[0, 3:5, :5], values[0, [1, 0]])  # the edge is not repeated
    assert np.array_equal(patch.values[0, :3, 5:9], values[0][:, [3, 2, 1, 0]])


def test_results_can_have_another_number_of_classes():
    def three(patches):
        return np.stack([np.concatenate([patch.values] * 3) * [[[1]], [[2]], [[3]]]
                         for patch in patches])  # fmt: skip

    values = ramp(100, 90)
    result, _, _ = run(values, network=three, classes=3, patch_px=64)
    for index in range(3):
        assert np.array_equal(result[index], values[0] * (index + 1))


def test_a_wider_view_is_served_with_each_patch():
    calls = []

    def context(row, column):
        calls.append((row, column))
        return np.full((1, 64, 64), row * 1000 + column, np.float32), np.ones((64, 64), bool)

    def read(first, last):
        values = ramp(150, 150)[:, first:last]
        good = np.ones(values.shape[1:], bool)
        return Strip(values, good, good)

    def first_of_context(patches):
        return np.stack([patch.context[0] for patch in patches])

    tiler = Tiler((150, 150), patch_px=64, keep=0.9)
    parts = list(tiler.run(read, first_of_context, context))
    result = np.concatenate([part for part, _, _ in parts], axis=1)[0]
    assert len(calls) == tiler.patches == 9
    assert set(np.unique(result)) == {row * 1000 + column for row, column in calls}
    assert result[0, 0] == 0
