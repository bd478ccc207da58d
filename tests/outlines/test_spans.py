import numpy as np
import pytest
import rasterio.features
import shapely
from factories import utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierx.outlines.outlines import as_geometries
from glacierx.outlines.spans import Edges

GRID = utm_grid((70, 90))


def blob(random, row, column, radius):
    """Return a ragged ring with a hole in it, in map coordinates."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    away = radius * random.uniform(0.4, 1, 40)
    rings = []
    for share in (1, 0.3):
        x, y = GRID.to_map(
            row + share * away * np.sin(angle), column + share * away * np.cos(angle)
        )
        rings.append(np.column_stack([x, y]))
    return shapely.Polygon(rings[0], [rings[1]])


def burn(shapes, rows, columns):
    """Number the pixels of a window by the last shape that has them, -1 where none."""
    rings, owner = shapely.get_rings(shapes, return_index=True)
    edges = Edges.of(rings, owner, GRID).between(*rows)
    found = np.full((rows[1] - rows[0], columns[1] - columns[0]), -1)
    pixels, of = edges.spans(rows, columns).pixels(found.shape[1])
    found.ravel()[pixels] = of
    return found


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6))
def test_spans_are_the_pixels_that_gdal_burns(seed):
    random = np.random.default_rng(seed)
    shapes = as_geometries(
        blob(random, *random.uniform((0, 0, 2), (70, 90, 30))) for _ in range(random.integers(1, 6))
    )
    expected = rasterio.features.rasterize(
        [(shape, number) for number, shape in enumerate(shapes)],
        out_shape=GRID.shape,
        transform=GRID.transform,
        fill=-1,
        dtype="int32",
    )
    assert (burn(shapes, (0, 70), (0, 90)) == expected).all()
    # Windows fit together without gap or overlap.
    for rows in ((0, 33), (33, 70)):
        for columns in ((0, 11), (11, 90)):
            part = expected[slice(*rows), slice(*columns)]
            assert (burn(shapes, rows, columns) == part).all()


def test_an_edge_through_the_middle_of_pixels_gives_each_of_them_to_one_side():
    left, bottom, right, top = GRID.bounds
    middle = left + 40.5 * 10
    sides = as_geometries(
        [shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top)]
    )
    found = burn(sides, (0, 70), (0, 90))
    assert (found >= 0).all()
    assert set(np.flatnonzero(np.diff(found[0]))) <= {39, 40}


@pytest.mark.parametrize("shapes", [as_geometries([]), as_geometries([shapely.Polygon()])])
def test_nothing_has_no_pixels(shapes):
    assert (burn(shapes, (0, 70), (0, 90)) == -1).all()
