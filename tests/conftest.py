"""Factories of scenes, DEMs and probability maps with known answers."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; threads of each would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest
from factories import ICE, ROCK, utm_grid, write_tif

from glacierx.scene.geotiff import RowWriter
from glacierx.scene.prediction import probability_layout

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def make_scene(tmp_path):
    """Write reflectance of ice on rock: NDSI finds exactly the mask."""

    def make(mask, *, gsd=10.0, grid=None, roles=tuple(ICE), name="scene.tif", **profile):
        grid = grid or utm_grid(mask.shape, gsd)
        values = np.stack([np.where(mask, ICE[role], ROCK[role]) for role in roles])
        stored = np.rint(values / 1e-4).astype("uint16")
        profile.setdefault("scales", (1e-4,) * len(roles))
        return write_tif(tmp_path / name, stored, grid, descriptions=roles, **profile)

    return make


@pytest.fixture
def make_dem(tmp_path):
    """Write heights."""

    def make(heights, grid, name="dem.tif", **profile):
        values = np.asarray(heights, "float32")[None]
        return write_tif(tmp_path / name, values, grid, **profile)

    return make


@pytest.fixture
def make_probability(tmp_path):
    """Write a probability map in the steps that glacierx writes."""

    def make(steps, grid=None, name="prob.tif", tags=None):
        steps = np.asarray(steps)
        if steps.dtype == bool:
            steps = np.where(steps, 250, 0)
        grid = grid or utm_grid(steps.shape)
        layout = probability_layout(("glacier",), tags or {})
        with RowWriter(tmp_path / name, grid, layout) as writer:
            writer.write(steps[None].astype("uint8"))
        return tmp_path / name

    return make


@pytest.fixture(scope="session")
def shared():
    """The folder of real data, where it is at hand."""
    if not SHARED.is_dir():
        pytest.skip("the real scenes are not on this machine")
    return SHARED
