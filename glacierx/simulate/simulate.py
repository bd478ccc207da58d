"""A made scene, DEM and outlines with a known answer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.errors import OptionError, OutputError
from glacierx.options import SimulateOptions
from glacierx.outlines.geopackage import write_layers
from glacierx.scene.blocks import block_cache
from glacierx.scene.geotiff import RasterLayout, RowWriter
from glacierx.scene.grid import Grid
from glacierx.scene.labelraster import LabelRaster
from glacierx.scene.output import check_outputs
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike
from glacierx.scene.sensors import Sensor, find_sensor
from glacierx.scene.staging import staged
from glacierx.scene.terrain import Dem
from glacierx.simulate.landscape import BELOW_SNOW, NO_ICE_M, Landscape, make_landscape
from glacierx.simulate.parts import WHOLE_PX, Camera, Rows, reach_of, tiled_rows, whole_rows
from glacierx.simulate.place import read_place, relief_of
from glacierx.simulate.rendering import View, render, render_terrain
from glacierx.simulate.sensing import sensor_gsd
from glacierx.simulate.truth import outlines_of
from glacierx.simulate.weather import Weather, draw_weather
from glacierx.simulate.wide import MadeTerrain, WideScene, draw_wide

CELL_M = 40.0
FEWEST_CELLS, MOST_CELLS, MOST_WIDE_CELLS = 128, 1024, 2048
GSD_M = 10.0
# A real place is rendered at once, which takes 350 bytes for each pixel.
MOST_REAL_PX = 8192
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


@dataclass(frozen=True)
class Site:
    """A scene before it is taken.

    Attributes:
        grid: Where it lies.
        scene: What is to be seen: all of it, or what any window can be rendered from.
        weather: Sun, air, snow, debris and land.
        valid: Where heights are known; everywhere if None.
        ids: What each glacier is called: columns by name.
    """

    grid: Grid
    scene: View | WideScene
    weather: Weather
    valid: NDArray[np.bool_] | None = None
    ids: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)


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
    if dem is not None and options.size > MOST_REAL_PX:
        raise OptionError(
            f"--size is {options.size}: of a DEM at most {MOST_REAL_PX} rows and columns are "
            "rendered. Give a smaller --size."
        )
    sensor = find_sensor(options.sensor) if options.sensor else None
    inputs = {"dem": dem, "outlines": outlines} if dem and outlines else {}
    made = _files(folder, tuple(inputs.values()), overwrite)
    tell = progress or (lambda done, total, what: None)
    tell(0, 4, "mountains and glaciers")
    site = _site(options, dem, outlines)
    tell(2, 4, "scene and DEM")
    tags = RENDERED if inputs else MADE
    with LabelRaster(site.grid) as labels:
        camera, parts = _taken(site, sensor, options.seed)
        _write(made, site, camera.layout(tags), parts, labels)
        tell(3, 4, "true outlines")
        with Dem(made.dem) as own:
            complexes, division = outlines_of(labels, site.grid, own, site.ids)
    layers = {
        "glaciers": division.glaciers,
        "complexes": complexes,
        "divides": division.divides,
    }
    record_ = {
        "made": options.as_record(),
        "drawn": site.weather.as_record(),
        "inputs": {name: fingerprint(path) for name, path in inputs.items()},
    }
    write_layers(made.outlines, layers, record_, overwrite=overwrite)
    tell(4, 4, "done")
    return made


def _site(options: SimulateOptions, dem: PathLike | None, outlines: PathLike | None) -> Site:
    if dem is not None and outlines is not None:
        random = np.random.default_rng(options.seed)
        place = read_place(dem, outlines, options.size, gsd_of(options), random)
        weather = draw_weather(random, southern=place.southern)
        view = render_terrain(relief_of(place, weather, random), weather, random)
        return Site(place.grid, view, weather, place.valid, place.ids)
    if options.size <= WHOLE_PX:
        grid, view = make_view(options)
        return Site(grid, view, view.weather)
    grid, scene, weather = make_wide(options)
    return Site(grid, scene, weather)


def _taken(site: Site, sensor: Sensor | None, seed: int) -> tuple[Camera, Iterator[Rows]]:
    """Return what takes a site, and the rows that it takes."""
    gsd_m = site.grid.gsd_m
    if isinstance(site.scene, WideScene):
        camera = Camera.aim(sensor, site.weather, seed, gsd_m, site.grid.columns)
        return camera, tiled_rows(site.scene, site.weather, camera)
    camera = Camera.aim(sensor, site.weather, seed, gsd_m)
    return camera, whole_rows(site.scene, camera)


def _write(
    made: Made, site: Site, layout: RasterLayout, parts: Iterator[Rows], labels: LabelRaster
) -> None:
    heights = RasterLayout(
        bands=1, dtype=np.float32, nodata=VOID_M, descriptions=("elevation",), tags=layout.tags
    )
    with (
        block_cache(),
        staged(made.scene, overwrite=True) as scene_part,
        RowWriter(scene_part, site.grid, layout) as scene_file,
        staged(made.dem, overwrite=True) as dem_part,
        RowWriter(dem_part, site.grid, heights) as dem_file,
    ):
        for rows in parts:
            if site.valid is None:
                scene_file.write(rows.numbers)
                dem_file.write(rows.heights[None])
            else:
                scene_file.write(np.where(site.valid, rows.numbers, 0))
                dem_file.write(np.where(site.valid, rows.heights, np.float32(VOID_M))[None])
            labels.write(rows.label)
    labels.finish()


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
    landscape, weather, random = _mountains(options, MOST_CELLS)
    gsd_m = gsd_of(options)
    return _grid(options.size, gsd_m), render(landscape, options.size, gsd_m, random, weather)


def make_wide(options: SimulateOptions) -> tuple[Grid, WideScene, Weather]:
    """Make a scene in made mountains that is too large to be rendered at once."""
    landscape, weather, random = _mountains(options, MOST_WIDE_CELLS)
    gsd_m, shift_m = gsd_of(options), weather.snow.ela_shift_m
    terrain = MadeTerrain(landscape, options.size, gsd_m, shift_m, random)
    scene = draw_wide(terrain, weather, random, reach_of(gsd_m))
    return _grid(options.size, gsd_m), scene, weather


def _mountains(
    options: SimulateOptions, most_cells: int
) -> tuple[Landscape, Weather, np.random.Generator]:
    gsd_m = gsd_of(options)
    extent_m = options.size * gsd_m
    if extent_m < FEWEST_CELLS * 10:
        raise OptionError(
            f"A scene of {options.size} pixels of {gsd_m:g} m is {extent_m:g} m wide: too "
            f"small for mountains. Give a larger --size or --gsd."
        )
    cells = int(np.clip(round(extent_m / CELL_M), FEWEST_CELLS, most_cells))
    random = np.random.default_rng(options.seed)
    weather = draw_weather(random) if options.vary else Weather()
    below = random.uniform(*BELOW_SNOW_VARIES) if options.vary else BELOW_SNOW
    landscape = make_landscape(
        (cells, cells), extent_m / cells, random, ice=options.ice, below_snow=float(below)
    )
    if options.vary and not options.ice:
        # Mountains that have no glaciers have snow.
        landscape = replace(landscape, snowline=landscape.snowline - NO_ICE_M)
    return landscape, weather, random


def _grid(size: int, gsd_m: float) -> Grid:
    transform = Affine(gsd_m, 0, CORNER[0], 0, -gsd_m, CORNER[1])
    return Grid(CRS_MADE, transform, (size, size))
