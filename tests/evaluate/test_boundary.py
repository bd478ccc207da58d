import numpy as np
import pytest
from factories import disc
from scipy import ndimage

from glacierx.evaluate.boundary import (
    ContourTrace,
    EdgeTrace,
    contour_lengths,
    find_contour,
    find_edges,
)


def places(edges):
    return {tuple(at) for at in edges.at.tolist()}


def test_the_boundary_of_a_box_is_its_rim():
    ice = np.zeros((9, 10), bool)
    ice[2:6, 3:8] = True
    rim = {(r, c) for r in range(2, 6) for c in range(3, 8) if r in (2, 5) or c in (3, 7)}
    assert places(find_edges(ice)) == rim


def test_a_boundary_is_the_mask_less_its_erosion():
    ice = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(80, 70)), 2) > 0
    eroded = ndimage.binary_erosion(ice, border_value=1)
    assert places(find_edges(ice)) == set(zip(*np.nonzero(ice & ~eroded), strict=True))


def test_the_frame_and_nodata_are_no_boundary():
    ice = np.ones((8, 8), bool)
    assert len(find_edges(ice)) == 0
    valid = ice.copy()
    valid[3:5, 3:5] = False
    assert len(find_edges(ice, valid)) == 0
    assert len(find_contour(ice, valid)) == 0
    # Ground on the other side of a stripe without data is not beside the ice.
    ice[:, 4:] = False
    valid = np.ones((8, 8), bool)
    valid[:, 4] = False
    assert len(find_edges(ice, valid)) == 0
    assert len(find_contour(ice, valid)) == 0
    assert places(find_edges(ice)) == {(row, 3) for row in range(8)}


@pytest.mark.parametrize("height", [1, 2, 7, 64])
def test_rows_at_a_time_give_the_same(height):
    generator = np.random.default_rng(2)
    ice = ndimage.gaussian_filter(generator.normal(size=(61, 40)), 1.5) > 0
    valid = generator.random(ice.shape) < 0.9
    label = np.where(ice, np.arange(ice.size).reshape(ice.shape), 0)
    edges, contour = EdgeTrace(40), ContourTrace(40)
    for first in range(0, 61, height):
        rows = slice(first, first + height)
        edges.add((ice & valid)[rows], valid[rows], label[rows])
        contour.add((ice & valid)[rows], valid[rows])
    found, whole = edges.finish(), find_edges(ice, valid)
    assert np.array_equal(found.at, whole.at)
    assert np.array_equal(found.label, label[tuple(found.at.T)])
    around, all_around = contour.finish(), find_contour(ice, valid)
    assert np.array_equal(around.at, all_around.at)
    assert np.array_equal(around.codes, all_around.codes)


def test_the_contour_of_a_box_is_as_long_as_geometry_says():
    ice = np.zeros((12, 12), bool)
    ice[3:8, 2:9] = True  # 5 x 7 pixels: sides of 4 and 6 between centres, corners cut
    pieces = find_contour(ice)
    corners = 4 * np.hypot(0.5, 0.5)
    assert contour_lengths(pieces.codes, 1, 1).sum() == pytest.approx(2 * (4 + 6) + corners)
    # Pixels of 2 x 3 metres.
    long = 2 * (4 * 2 + 6 * 3) + 4 * np.hypot(2, 3) / 2
    assert contour_lengths(pieces.codes, 2, 3).sum() == pytest.approx(long)


def test_two_pixels_across_have_two_pieces_of_contour_between_them():
    ice = np.zeros((4, 4), bool)
    ice[1, 1] = ice[2, 2] = True
    pieces = find_contour(ice)
    # Each pixel is ringed by four cut corners, of which the two that meet share one place.
    assert len(pieces) == 7
    assert contour_lengths(pieces.codes, 1, 1).sum() == pytest.approx(8 * np.hypot(0.5, 0.5))


def test_the_boundary_of_a_disc_is_about_as_long_as_its_circumference():
    pieces = find_contour(disc((200, 200), (100, 100), 80))
    length = contour_lengths(pieces.codes, 1, 1).sum()
    # A staircase of eight directions overrates a circle by 5.5 % (8 (sqrt 2 - 1) / pi).
    assert length == pytest.approx(2 * np.pi * 80 * 8 * (np.sqrt(2) - 1) / np.pi, rel=0.01)
