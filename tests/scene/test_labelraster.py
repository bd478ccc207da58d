import numpy as np
import pytest
import shapely
from factories import utm_grid

from glacierx.errors import OutputError
from glacierx.scene.labelraster import LabelRaster


def polygons_of(label, heights):
    with LabelRaster(utm_grid(label.shape)) as raster:
        for rows in np.split(label, np.cumsum(heights)[:-1]):
            raster.write(rows)
        raster.finish()
        return list(raster.polygons()), list(raster.unions())


def test_polygons_are_not_cut_where_rows_meet():
    label = np.zeros((60, 40), np.int64)
    label[5:50, 5:20], label[20:40, 20:30], label[55:58, 2:6] = 1, 70_000, 3
    pieces, unions = polygons_of(label, [7, 30, 23])
    assert sorted(number for _, number in pieces) == [1, 3, 70_000]
    area = {number: polygon.area / 100 for polygon, number in pieces}
    assert area == {1: 45 * 15, 70_000: 200, 3: 12}
    assert sorted(polygon.area / 100 for polygon in unions) == [12, 45 * 15 + 200]
    again, _ = polygons_of(label, [60])
    assert all(shapely.equals(one[0], other[0]) for one, other in zip(pieces, again, strict=True))


def test_without_labels_there_are_no_polygons():
    assert polygons_of(np.zeros((10, 10), int), [10]) == ([], [])


def test_rows_that_are_missing_are_an_error():
    with LabelRaster(utm_grid((10, 10))) as raster:
        raster.write(np.zeros((6, 10), int))
        with pytest.raises(OutputError, match="of 10 rows were written"):
            raster.finish()
