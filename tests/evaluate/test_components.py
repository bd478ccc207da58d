import numpy as np
import pytest
from scipy import ndimage

from glacierx.evaluate.components import EIGHT, Components


@pytest.mark.parametrize("height", [1, 3, 50])
def test_pieces_found_by_rows_are_those_of_the_whole(height):
    for seed in range(4):
        ice = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(50, 60)), 1) > 0.1
        pieces = Components(60)
        rows = [pieces.label(ice[first : first + height]) for first in range(0, 50, height)]
        label = pieces.final()[np.concatenate(rows)]
        whole, count = ndimage.label(ice, EIGHT)
        assert label.max() == count
        # The same pixels hang together: one number here for one number there.
        assert len(np.unique(np.column_stack([label[ice], whole[ice]]), axis=0)) == count
        assert not label[~ice].any()


def test_arms_that_meet_below_are_one():
    u = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], bool)
    pieces = Components(4)
    label = np.concatenate([pieces.label(u[row : row + 1]) for row in range(3)])
    assert set(pieces.final()[label][u]) == {1}


def test_no_ice_is_no_piece():
    pieces = Components(5)
    assert not pieces.label(np.zeros((3, 5), bool)).any()
    assert pieces.final().tolist() == [0]
