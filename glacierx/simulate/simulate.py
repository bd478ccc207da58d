"""A made scene, DEM and outlines with a known answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from glacierx.scene.output import check_outputs
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike
from glacierx.scene.sensors import find_sensor
from glacierx.scene.staging import staged
from glacierx.scene.terrain import Dem
from glacierx.simulate.landscape import BELOW_SNOW, NO_ICE_M, make_landscape
from glacierx.simulate.place import read_place, relief_of
from glacierx.simulate.rendering import View, render, render_terrain
from glacierx.simulate.sensing import Recording, record, sensor_gsd
from glacierx.simulate.spectra import ROLES
from glacierx.simulate.weather import Weather, draw_weather

CELL_M = 40.0
FEWEST_CELLS, MOST_CELLS = 128, 1024
SCALE = 1e-4
GSD_M = 10.0
VOID_M = -9999.0
BELOW_SNOW_VARIES = 0.6, 0.93
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
    if dem is not None and not options.ice:
        raise OptionError("--no-ice has no effect on a DEM, whose ice is real. Leave it out.")
    sensor = find_sensor(options.sensor) if options.sensor else None
    inputs = {"dem": dem, "outlines": outlines} if dem and outlines else {}
    made = _files(folder, tuple(inputs.values()), overwrite)
    tell = progress or (lambda done, total, what: None)
    tell(0, 4, "mountains and glaciers")
    grid, view, valid, ids = _landscape(options, dem, outlines)
    tell(2, 4, "scene and DEM")
    # What the sensor adds does not depend on what there is to see.
    random = np.random.default_rng([options.seed, 1])
    taken = (
        _reflectance(view, random) if sensor is None else record(view, sensor, grid.gsd_m, random)
    )
    tags = RENDERED if inputs else MADE
    _write(made.scene, grid, np.where(valid, taken.numbers, 0), RasterLayout(
        bands=len(taken.roles), dtype=taken.numbers.dtype, nodata=0, scale=taken.scales,
        offsets=taken.offsets, units=taken.units, descriptions=taken.roles, tags=tags,
    ))  # fmt: skip
    heights = np.where(valid, view.heights, np.float32(VOID_M))
    _write(made.dem, grid, heights[None], RasterLayout(
        bands=1, dtype=np.float32, nodata=VOID_M, descriptions=("elevation",), tags=tags
    ))  # fmt: skip
    tell(3, 4, "true outlines")
    with Dem(made.dem) as own:
        complexes, division = true_outlines(view.glacier, grid, own, ids)
    layers = {
        "glaciers": division.glaciers,
        "complexes": complexes,
        "divides": division.divides,
    }
    record_ = {
        "made": options.as_record(),
        "drawn": view.weather.as_record(),
        "inputs": {name: fingerprint(path) for name, path in inputs.items()},
    }
    write_layers(made.outlines, layers, record_, overwrite=overwrite)
    tell(4, 4, "done")
    return made


def _landscape(
    options: SimulateOptions, dem: PathLike | None, outlines: PathLike | None
) -> tuple[Grid, View, NDArray[np.bool_], Mapping[str, NDArray[np.object_]]]:
    """Return a grid, what is to be seen, where it is known, and what glaciers are called."""
    if dem is None or outlines is None:
        grid, view = make_view(options)
        return grid, view, np.ones(grid.shape, bool), {}
    random = np.random.default_rng(options.seed)
    place = read_place(dem, outlines, options.size, gsd_of(options), random)
    weather = draw_weather(random, southern=place.southern)
    view = render_terrain(relief_of(place, weather, random), weather, random)
    return place.grid, view, place.valid, place.ids


def gsd_of(options: SimulateOptions) -> float:
    """Return the GSD that is asked for, else the sensor's, else 10 m."""
    if options.gsd is not None:
        return options.gsd
    return sensor_gsd(find_sensor(options.sensor)) if options.sensor else GSD_M


def _files(folder: Path, inputs: tuple[PathLike, ...], overwrite: bool) -> Made:
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
    gsd_m = gsd_of(options)
    extent_m = options.size * gsd_m
    if extent_m < FEWEST_CELLS * 10:
        raise OptionError(
            f"A scene of {options.size} pixels of {gsd_m:g} m is {extent_m:g} m wide: too "
            f"small for mountains. Give a larger --size or --gsd."
        )
    cells = int(np.clip(round(extent_m / CELL_M), FEWEST_CELLS, MOST_CELLS))
    random = np.random.default_rng(options.seed)
    weather = draw_weather(random) if options.vary else Weather()
    below = random.uniform(*BELOW_SNOW_VARIES) if options.vary else BELOW_SNOW
    landscape = make_landscape(
        (cells, cells), extent_m / cells, random, ice=options.ice, below_snow=float(below)
    )
    if options.vary and not options.ice:
        # Mountains that have no glaciers have snow.
        landscape = replace(landscape, snowline=landscape.snowline - NO_ICE_M)
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
    glacier: NDArray[np.int64],
    grid: Grid,
    dem: Dem | None = None,
    ids: Mapping[str, NDArray[np.object_]] | None = None,
) -> tuple[Outlines, Division]:
    """Turn labels into the outlines that they stand for, along pixel edges.

    Args:
        glacier: Label of each glacier, 0 off the ice (rows, columns).
        grid: Its grid.
        dem: Heights for the attributes.
        ids: What each label, from 1, is called elsewhere: columns by name.

    Returns:
        Glacier complexes, and glaciers with their divides.
    """
    ice = glacier > 0
    group, _ = ndimage.label(ice, np.ones((3, 3), bool))
    complexes, (complex_id,) = _polygons(ice, (group,), grid)
    glaciers, (glacier_complex, number) = _polygons(glacier, (group, glacier), grid)
    lines, pairs = border_lines(glaciers)
    outlines = Outlines(
        glaciers,
        grid.crs,
        {
            "complex_id": glacier_complex,
            "divided": np.ones(len(glaciers), np.int64),
            "parent": np.arange(len(glaciers)),
            **{name: values[number - 1] for name, values in (ids or {}).items()},
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
    label: NDArray[Any], columns: tuple[NDArray[Any], ...], grid: Grid
) -> tuple[NDArray[np.object_], list[NDArray[np.int64]]]:
    """Return the polygons of labels, and the values of rasters in each."""
    label = label.astype(np.int32)
    found = rasterio.features.shapes(label, mask=label > 0, transform=grid.transform)
    polygons = as_geometries(shapely.geometry.shape(shape) for shape, _ in found)
    if not len(polygons):
        return polygons, [np.zeros(0, np.int64) for _ in columns]
    inside = shapely.point_on_surface(polygons)
    row, column = grid.to_pixels(shapely.get_x(inside), shapely.get_y(inside))
    at = row.astype(int), column.astype(int)
    return shapely.orient_polygons(polygons), [values[at].astype(np.int64) for values in columns]
