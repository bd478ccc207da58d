"""A made scene, DEM and outlines with a known answer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.errors import OptionError, OutputError
from glacierx.options import SimulateOptions
from glacierx.outlines.attributes import add_attributes, add_complex_attributes
from glacierx.outlines.cut import border_lines
from glacierx.outlines.divides import Division
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geotiff import RasterLayout, RowWriter
from glacierx.scene.grid import Grid
from glacierx.scene.output import check_outputs, staged
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike
from glacierx.scene.sensors import find_sensor
from glacierx.scene.terrain import Dem
from glacierx.simulate.landscape import make_landscape
from glacierx.simulate.place import read_place, relief_of
from glacierx.simulate.rendering import View, render, render_terrain
from glacierx.simulate.sensing import Recording, record, sensor_gsd
from glacierx.simulate.spectra import ROLES
from glacierx.simulate.weather import draw_weather

CELL_M = 40.0
FEWEST_CELLS, MOST_CELLS = 128, 1024
SCALE = 1e-4
GSD_M = 10.0
MADE = {"GLACIERX_MADE": "yes: this scene was made by glacierx simulate, no satellite saw it"}
RENDERED = {
    "GLACIERX_MADE": "rendered: real terrain and glacier outlines, but the light on them was made "
    "by glacierx simulate, no satellite saw it"
}

# Any place will do; this one has a UTM zone and a mountain range.
CRS_MADE = CRS.from_epsg(32632)
CORNER = 600_000.0, 5_200_000.0

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Made:
    """The files of a made scene.

    Attributes:
        scene: Blue, green, red, NIR, SWIR1 and SWIR2 as reflectance times 10,000, or a sensor's
            bands in its numbers.
        dem: Heights of the same grid in metres.
        outlines: The true glaciers, complexes and divides.
    """

    scene: Path
    dem: Path
    outlines: Path


def simulate(
    folder: PathLike,
    options: SimulateOptions = SimulateOptions(),
    *,
    dem: PathLike | None = None,
    outlines: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Make a scene of glaciers in mountains, its DEM and its true outlines.

    Args:
        folder: Where scene.tif, dem.tif and outlines.gpkg are written; made if it is not there.
        options: Size, GSD, seed, sensor. The same options give the same files.
        dem: Heights of a real place, which is rendered instead of made mountains.
        outlines: Its glaciers, in any CRS.
        overwrite: Replace existing files.
        progress: Called as work goes on.

    Returns:
        The files.

    Raises:
        OptionError: There is a DEM without outlines or outlines without a DEM.
        GridError: No glacier lies on the DEM.
    """
    folder = Path(folder)
    if (dem is None) != (outlines is None):
        raise OptionError("--dem and --outlines belong together: give both, or neither.")
    sensor = find_sensor(options.sensor) if options.sensor else None
    gsd_m = options.gsd or (sensor_gsd(sensor) if sensor else GSD_M)
    made = _files(folder, [path for path in (dem, outlines) if path is not None], overwrite)
    tell = progress or (lambda done, total, what: None)
    tell(0, 4, "mountains and glaciers")
    random = np.random.default_rng(options.seed)
    if dem is not None and outlines is not None:
        place = read_place(dem, outlines, options.size, gsd_m, random)
        weather = draw_weather(random, southern=place.southern)
        grid, valid = place.grid, place.valid
        view = render_terrain(relief_of(place, weather, random), weather, random)
    else:
        grid, view = make_view(options)
        valid = np.ones(grid.shape, bool)
    tell(2, 4, "scene and DEM")
    recording = record(view, sensor, gsd_m, random) if sensor else _reflectance(view, random)
    _write(made.scene, grid, np.where(valid, recording.numbers, 0), RasterLayout(
        bands=len(recording.roles), dtype=recording.numbers.dtype, nodata=0,
        scale=recording.scales, offsets=recording.offsets, units=recording.units,
        descriptions=recording.roles, tags=MADE if dem is None else RENDERED,
    ))  # fmt: skip
    heights = np.where(valid, view.heights, np.float32(-9999))
    _write(made.dem, grid, heights[None], RasterLayout(
        bands=1, dtype=np.float32, nodata=-9999, descriptions=("elevation",),
        tags=MADE if dem is None else RENDERED,
    ))  # fmt: skip
    tell(3, 4, "true outlines")
    with Dem(made.dem) as own:
        complexes, division = true_outlines(view.glacier, grid, own)
    layers = {
        "glaciers": division.glaciers,
        "complexes": complexes,
        "divides": division.divides,
    }
    inputs = {"dem": dem, "outlines": outlines}
    record_ = {
        "made": options.as_record(),
        "inputs": {key: fingerprint(path) for key, path in inputs.items() if path is not None},
    }
    write_layers(made.outlines, layers, record_, overwrite=overwrite)
    tell(4, 4, "done")
    return made


def _files(folder: Path, inputs: list[PathLike], overwrite: bool) -> Made:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    made = Made(folder / "scene.tif", folder / "dem.tif", folder / "outlines.gpkg")
    for path in (made.scene, made.dem, made.outlines):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already. Use --overwrite to replace it.")
    check_outputs((made.scene, made.dem, made.outlines), overwrite=overwrite, inputs=inputs)
    return made


def make_view(options: SimulateOptions) -> tuple[Grid, View]:
    """Make the pixels of a scene in made mountains.

    Raises:
        OptionError: The scene is too small to hold a mountain.
    """
    sensor = find_sensor(options.sensor) if options.sensor else None
    gsd_m = options.gsd or (sensor_gsd(sensor) if sensor else GSD_M)
    extent_m = options.size * gsd_m
    if extent_m < FEWEST_CELLS * 10:
        raise OptionError(
            f"A scene of {options.size} pixels of {gsd_m:g} m is {extent_m:g} m wide: too "
            f"small for mountains. Give a larger --size or --gsd."
        )
    cells = int(np.clip(round(extent_m / CELL_M), FEWEST_CELLS, MOST_CELLS))
    random = np.random.default_rng(options.seed)
    weather = draw_weather(random) if options.vary else None
    landscape = make_landscape((cells, cells), extent_m / cells, random, ice=options.ice)
    view = render(landscape, options.size, gsd_m, random, weather)
    transform = Affine(gsd_m, 0, CORNER[0], 0, -gsd_m, CORNER[1])
    return Grid(CRS_MADE, transform, (options.size, options.size)), view


def _reflectance(view: View, random: np.random.Generator) -> Recording:
    """Store reflectance times 10,000 in all bands, with a little noise; 0 means no data."""
    seen = view.reflectance.copy()
    for band in seen:
        band *= 1 + 0.02 * random.standard_normal(band.shape, np.float32)
        band += 0.003 * random.standard_normal(band.shape, np.float32)
    numbers = np.asarray(np.rint(seen / SCALE).clip(1, 65535), np.uint16)
    return Recording(numbers, ROLES, (SCALE,) * len(ROLES), (0.0,) * len(ROLES))


def _write(path: Path, grid: Grid, values: NDArray[np.generic], layout: RasterLayout) -> None:
    with staged(path, overwrite=True) as part, RowWriter(part, grid, layout) as writer:
        writer.write(values)


def true_outlines(
    glacier: NDArray[np.int64], grid: Grid, dem: Dem | None = None
) -> tuple[Outlines, Division]:
    """Turn labels into the outlines that they stand for, along pixel edges.

    Args:
        glacier: Label of each glacier, 0 off the ice (rows, columns).
        grid: Its grid.
        dem: Heights for the attributes.

    Returns:
        Glacier complexes, and glaciers with their divides.
    """
    ice = glacier > 0
    group, _ = ndimage.label(ice, np.ones((3, 3), bool))
    complexes, complex_id = _polygons(ice.astype(np.int32), group, grid)
    glaciers, glacier_complex = _polygons(glacier.astype(np.int32), group, grid)
    lines, pairs = border_lines(glaciers)
    outlines = Outlines(
        glaciers,
        grid.crs,
        {
            "complex_id": glacier_complex,
            "divided": np.ones(len(glaciers), np.int64),
            "parent": np.arange(len(glaciers)),
        },
    )
    divides = Outlines(lines, grid.crs, {"first": pairs[:, 0], "second": pairs[:, 1]})
    return (
        add_complex_attributes(
            Outlines(complexes, grid.crs, {"complex_id": complex_id}), gsd_m=grid.gsd_m
        ),
        add_attributes(Division(outlines, divides), dem=dem, gsd_m=grid.gsd_m),
    )


def _polygons(
    label: NDArray[np.int32], group: NDArray[np.int32], grid: Grid
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    found = rasterio.features.shapes(label, mask=label > 0, transform=grid.transform)
    polygons = as_geometries(shapely.geometry.shape(shape) for shape, _ in found)
    if not len(polygons):
        return polygons, np.zeros(0, np.int64)
    inside = shapely.point_on_surface(polygons)
    row, column = grid.to_pixels(shapely.get_x(inside), shapely.get_y(inside))
    return shapely.orient_polygons(polygons), group[row.astype(int), column.astype(int)].astype(
        np.int64
    )
