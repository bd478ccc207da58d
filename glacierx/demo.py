"""The main job on a made scene, and how well it does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.features
from numpy.typing import NDArray

from glacierx.evaluate.matching import Matching, match_glaciers
from glacierx.evaluate.metrics import intersection_over_union
from glacierx.extract import extract, write_outlines
from glacierx.options import SimulateOptions
from glacierx.outlines.geopackage import read_outlines
from glacierx.outlines.outlines import Outlines
from glacierx.picture import draw_outlines
from glacierx.scene.grid import Grid
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import open_scene
from glacierx.simulate.simulate import simulate

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration made and found.

    Attributes:
        outlines: The GeoPackage.
        picture: The outlines over the scene.
        iou: Of the ice found with the true ice.
        matching: Of the glaciers found with the true glaciers.
        model: Name of the model or method that found the ice.
    """

    outlines: Path
    picture: Path
    iou: float
    matching: Matching
    model: str


def demonstrate(
    folder: PathLike,
    options: SimulateOptions = SimulateOptions(size=1024),
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demonstration:
    """Make a scene, extract its glaciers, draw them, and compare them with the truth.

    Args:
        folder: Where everything is written: outlines.gpkg, outlines.png and, in the folder made,
            scene.tif, dem.tif and the true outlines.gpkg.
        options: What the scene is like.
        overwrite: Replace existing files.
        progress: Called as work goes on.
    """
    folder = Path(folder)
    made = simulate(folder / "made", options, overwrite=overwrite, progress=progress)
    with open_scene(made.scene, dem=made.dem) as scene:
        found = extract(scene, progress=progress)
        outlines = write_outlines(found, folder / "outlines.gpkg", overwrite=overwrite)
        picture = draw_outlines(
            scene, found.glaciers, found.divides, folder / "outlines.png", overwrite=overwrite
        )
        mine = burn_labels(found.glaciers, scene.grid)
        truth = burn_labels(read_outlines(made.outlines), scene.grid)
        pixel_m2 = scene.grid.gsd_m**2
    return Demonstration(
        outlines,
        picture,
        intersection_over_union(mine > 0, truth > 0),
        match_glaciers(mine, truth, pixel_m2),
        str(found.record["model"]["name"]),
    )


def burn_labels(outlines: Outlines, grid: Grid) -> NDArray[np.int64]:
    """Burn polygons in the grid's CRS as labels from 1; 0 where there is none."""
    if not len(outlines):
        return np.zeros(grid.shape, np.int64)
    burnt = rasterio.features.rasterize(
        [(polygon, index) for index, polygon in enumerate(outlines.geometry, 1)],
        out_shape=grid.shape,
        transform=grid.transform,
        dtype="int32",
    )
    return np.asarray(burnt, np.int64)
