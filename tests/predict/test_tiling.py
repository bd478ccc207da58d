from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacierx.predict.tiling import Tiling, cut

NAMED = (1, 209, 972, 1023, 1024, 1025, 1200, 1996)


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


def test_a_tiling_counts_its_patches():
    tiling = Tiling((2000, 1024))
    assert tiling.patches == len(tiling.down) == 3
    assert len(tiling.across) == 1
