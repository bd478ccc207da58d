"""Grids, discs and files that tests are made of."""

import signal
import subprocess
import sys

import numpy as np
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner
from rasterio.crs import CRS

from glacierx.cli.main import group
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.predict.card import Card, Slot
from glacierx.scene.grid import Grid
from glacierx.training.options import TrainOptions
from glacierx.training.samples import Sample

ORIGIN = 600_000.0, 5_200_000.0


def utm_grid(shape, gsd=10.0, corner=ORIGIN, epsg=32632):
    return Grid(CRS.from_epsg(epsg), Affine(gsd, 0, corner[0], 0, -gsd, corner[1]), shape)


def disc(shape, center, radius):
    """A disc of pixels whose centres lie within *radius* of *center* (row, column)."""
    rows, columns = np.indices(shape) + 0.5
    return np.hypot(rows - center[0], columns - center[1]) < radius


def write_tif(path, values, grid, **profile):
    """Write (bands, rows, columns) with rasterio alone."""
    descriptions = profile.pop("descriptions", None)
    scales, offsets = profile.pop("scales", None), profile.pop("offsets", None)
    tags = profile.pop("tags", {})
    colorinterp = profile.pop("colorinterp", None)
    values = np.asarray(values)
    crs = profile.pop("crs", grid.crs)
    with rasterio.open(
        path,
        "w",
        driver=profile.pop("driver", "GTiff"),
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        crs=crs,
        transform=grid.transform,
        **profile,
    ) as file:
        file.write(values)
        file.update_tags(**tags)
        for band, text in enumerate(descriptions or (), 1):
            file.set_band_description(band, text)
        if scales:
            file.scales = scales
        if offsets:
            file.offsets = offsets
        if colorinterp:
            file.colorinterp = colorinterp
    return path


ICE = {"blue": 0.6, "green": 0.6, "red": 0.55, "nir": 0.45, "swir1": 0.04}
ROCK = {"blue": 0.12, "green": 0.14, "red": 0.16, "nir": 0.19, "swir1": 0.25}

ROCK_RATIOS = {"green": 1.0, "red": 1.15, "nir": 1.35}


def noisy(green, ratios, random):
    """Bands that go with green, each with noise of 3 %."""
    return {
        role: (green * ratio * random.normal(1, 0.03, green.shape)).astype(np.float32)
        for role, ratio in ratios.items()
    }


def box(rows, columns, gsd=10.0):
    """The polygon around whole pixels of `utm_grid`."""
    x, y = utm_grid((1, 1), gsd).to_map(np.array(rows), np.array(columns))
    return shapely.box(x[0], y[1], x[1], y[0])


def write_outlines(path, polygons, layer="glaciers", epsg=32632, **columns):
    """Write polygons as one layer of a GeoPackage."""
    rows = Outlines(as_geometries(polygons), CRS.from_epsg(epsg), columns)
    write_layers(path, {layer: rows}, {}, overwrite=True)
    return path


def run_command(*arguments, code=0):
    """Run glacierx as a user does: its result, or where it should fail its one line of error."""
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    if code:
        [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert "Traceback" not in result.output
        return line
    return result


def start_command(*arguments, folder):
    """Start glacierx in a folder as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "glacierx", *map(str, arguments)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Of tests that run in the background a process would inherit that it ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


TINY = {"depth": 18, "widths": [4, 4, 4, 4, 16], "pyramid_width": 4, "low_width": 2}


def tiny_card(**changes):
    """The card of a network that is built at once."""
    defaults = {
        "name": "tiny",
        "architecture": "attention_deeplabv3plus",
        "inputs": (Slot("green"), Slot("nir"), Slot("swir1", required=False)),
        "arguments": TINY,
        "patch_px": 64,
    }
    return Card(**{**defaults, **changes})


LOOKS = {"green": (0.8, 0.2), "nir": (0.7, 0.3), "swir1": (0.1, 0.5)}


def disc_sample(seed=0, part="train", *, side=96, radius=30, roles=tuple(LOOKS), **changes):
    """A labelled scene in memory: a disc of ice in its middle, and noise."""
    random = np.random.default_rng(seed)
    ice = disc((side, side), (side / 2, side / 2), radius)
    values = np.stack([np.where(ice, *LOOKS[role]) for role in roles])
    values = (values + random.normal(0, 0.05, values.shape)).astype(np.float16)
    facts = {"name": f"made/{part}{seed}", "gsd_m": 10.0, "part": part, **changes}
    return Sample(roles=roles, values=values, label=ice.astype(np.uint8), **facts)


def quick(**changes):
    """Options of a run that takes a second."""
    defaults = {"patch_px": 32, "batch": 4, "epochs": 2, "epoch_patches": 16, "ema": 0.5,
                "precision": "fp32", "scale_low": 0.8, "scale_high": 1.2}  # fmt: skip
    return TrainOptions(**{**defaults, **changes})
