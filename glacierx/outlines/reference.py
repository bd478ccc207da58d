"""The divides of an existing inventory, copied onto new outlines."""

from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.errors import GridError, OutlineError
from glacierx.options import DivideOptions
from glacierx.outlines.flowsheds import EIGHT, merge_slivers
from glacierx.outlines.outlines import Outlines
from glacierx.scene.geodesy import is_near, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.vector import VectorLayer, polygons_of, read_layer

ID_COLUMNS = ("rgi_id", "rgiid", "glac_id", "glims_id", "glimsid", "id", "gid")
NAME_COLUMNS = ("glac_name", "name")
DATE_COLUMNS = ("src_date", "bgndate", "date")

Labels = NDArray[np.int64]


class Inventory:
    """Glaciers of an inventory, in the CRS of the outlines that they divide.

    Args:
        path: The inventory.
        place: Where it is needed: a polygon.
        crs: CRS of the place and of the outlines.
        layer: The layer, if the file has several and none called glaciers.

    Attributes:
        name: The file's name.
        geometry: Their polygons.
        ids: Their id, name and date, as text or None.
    """

    def __init__(self, path: PathLike, place: Any, crs: CRS, layer: str | None = None) -> None:
        self.name = base_name(path)
        source = read_layer(path, layer, prefer=("glaciers",))
        shapes = source.geometry
        usable = shapely.get_dimensions(shapes) == 2
        if not usable.any():
            raise OutlineError(f"{self.name} holds no polygons, so it has no divides to copy.")
        usable[usable] = is_near(shapes[usable], source.crs, place, crs, 100)
        if not usable.any():
            raise GridError(
                f"No glacier of {self.name} lies near the scene. Give an inventory of this area."
            )
        chosen = np.flatnonzero(usable)
        self.geometry = polygons_of(
            transform_geometries(polygons_of(shapes[chosen]), source.crs, crs)
        )
        self.ids = {
            "ref_id": text_column(source, ID_COLUMNS, chosen),
            "ref_name": text_column(source, NAME_COLUMNS, chosen),
            "ref_date": text_column(source, DATE_COLUMNS, chosen),
        }

    def areas_within(self, outlines: Outlines) -> NDArray[np.float64]:
        """Return how much of each glacier lies within outlines, in square units of their CRS."""
        at, of = shapely.STRtree(self.geometry).query(outlines.geometry, predicate="intersects")
        shared = shapely.area(shapely.intersection(outlines.geometry[at], self.geometry[of]))
        areas: NDArray[np.float64] = np.zeros(len(self.geometry))
        np.add.at(areas, of, shared)
        return areas

    def label(
        self, ice: NDArray[np.bool_], grid: Grid, crs: CRS, options: DivideOptions
    ) -> tuple[Labels, Labels]:
        """Give each cell of ice the nearest glacier of the inventory that the ice shows.

        Returns:
            Labels from 1, 0 where there is no ice; and for each label the glacier's index, -1 for
            ice that is too far from any or apart from all.
        """
        box = shapely.box(*grid.bounds).buffer(options.reference_reach_m)
        near = np.flatnonzero(is_near(self.geometry, crs, box, grid.crs, 0))
        moved = transform_geometries(self.geometry[near], crs, grid.crs)
        # The smaller of two overlapping glaciers is burnt last.
        order = np.argsort(-shapely.area(moved), kind="stable")
        burnt = np.zeros(ice.shape, np.int32)
        if len(near):
            burnt = rasterio.features.rasterize(
                [(moved[at], at + 1) for at in order if not moved[at].is_empty] or [(box, 0)],
                out_shape=ice.shape,
                transform=grid.transform,
                dtype="int32",
            )
        label = np.where(ice, burnt, 0).astype(np.int64)
        if label.any():
            away, nearest = ndimage.distance_transform_edt(
                label == 0, sampling=grid.gsd_m, return_indices=True
            )
            # Ice goes to a glacier that it hangs together with, however near another's is.
            part, _ = ndimage.label(ndimage.binary_dilation(ice, EIGHT), EIGHT)
            reached = ice & np.isin(part, np.unique(part[label > 0]))
            reached &= away <= options.reference_reach_m
            label = np.where(reached, label[tuple(nearest)], 0)
        far, count = ndimage.label(ice & (label == 0), EIGHT)
        label = np.where(far > 0, far + len(near), label)
        owner = np.r_[-1, near, np.full(count, -1)]
        return _without_far_slivers(label, owner, grid, options)


def inventory_around(path: PathLike, outlines: Outlines) -> Inventory | None:
    """Read the glaciers of an inventory that lie near outlines; None if there are no outlines."""
    if not len(outlines):
        return None
    return Inventory(path, shapely.box(*shapely.total_bounds(outlines.geometry)), outlines.crs)


def _without_far_slivers(
    label: Labels, owner: Labels, grid: Grid, options: DivideOptions
) -> tuple[Labels, Labels]:
    """Give small remains of unknown ice to the glacier beside them; keep every known glacier."""
    merged = merge_slivers(label, grid.gsd_m, options.sliver_km2 * 1e6, only=owner < 0)
    count = int(merged.max(initial=0))
    kept = np.full(count + 1, -1, np.int64)
    for number in range(1, count + 1):
        inside = owner[label[merged == number]]
        known = inside[inside >= 0]
        kept[number] = np.bincount(known).argmax() if len(known) else -1
    return merged, kept


def text_column(layer: VectorLayer, names: tuple[str, ...], chosen: Labels) -> NDArray[np.object_]:
    """Return the first column of some names as text, None where it is empty or there is none."""
    by_name: dict[str, list[Any]] = {key.lower(): values for key, values in layer.columns.items()}
    values: list[Any] = next(
        (by_name[name] for name in names if name in by_name), [None] * len(layer.geometry)
    )
    out = np.empty(len(chosen), dtype=object)
    out[:] = [None if values[at] is None else str(values[at]) for at in chosen]
    return out
