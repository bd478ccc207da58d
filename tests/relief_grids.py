"""Grids of scenes and of the DEMs below them, and where their cells lie."""

import numpy as np
from affine import Affine
from factories import utm_grid
from rasterio.crs import CRS

from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import Grid

UTM = CRS.from_epsg(32632)

SCENES = {
    "utm": utm_grid((120, 130), 10),
    "degrees": Grid(LONLAT, Affine(1.3e-4, 0, 10.3155, 0, -9e-5, 46.9452), (110, 130)),
}
# What holds both scenes: cells that match, coarser, finer, turned and south-up, in other CRSs.
DEMS = {
    "shifted": utm_grid((160, 170), 10, corner=(599_857, 5_200_133)),
    "coarser": utm_grid((60, 60), 30, corner=(599_841, 5_200_177)),
    "finer": utm_grid((800, 850), 2, corner=(599_800, 5_200_150)),
    "odd": utm_grid((403, 437), 3.7, corner=(599_900, 5_200_150)),
    "turned": Grid(
        UTM,
        Affine.translation(599_700, 5_197_700) @ Affine.rotation(30) @ Affine.scale(20, 20),
        (140, 150),
    ),
    "degrees": Grid(LONLAT, Affine(1 / 3600, 0, 10.313, 0, -1 / 3600, 46.947), (60, 80)),
    "mercator": Grid(
        CRS.from_epsg(3857), Affine(30, 0, 1_147_900, 0, -30, 5_933_590), (110, 120)
    ),
}  # fmt: skip


def in_utm(grid):
    """Map coordinates of cells in UTM, whatever CRS they are in."""
    return transform_points(*grid.to_map(*(np.indices(grid.shape) + 0.5)), grid.crs, UTM)
