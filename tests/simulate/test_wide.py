import sys
import tracemalloc

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

import glacierx as gx
from glacierx.errors import OptionError
from glacierx.options import SimulateOptions
from glacierx.simulate import parts
from glacierx.simulate.fields import cropped
from glacierx.simulate.parts import Camera, tiled_rows
from glacierx.simulate.rendering import render_setting
from glacierx.simulate.simulate import make_view, make_wide, simulate
from glacierx.simulate.spectra import ROLES

OPTIONS = SimulateOptions(size=720, gsd=20, seed=3)


@pytest.fixture(scope="module")
def wide():
    return make_wide(OPTIONS)


def camera(wide):
    _, scene, weather = wide
    return Camera.aim(None, weather, 3, scene.terrain.gsd_m, scene.terrain.shape[1])


def test_a_pixel_looks_the_same_whatever_is_rendered_with_it(wide):
    _, scene, weather = wide
    one, other = Window(0, 0, 480, 500), Window(200, 180, 520, 540)
    shared = Window(200, 180, 280, 320)
    inner = Window(*(n + scene.reach_px for n in (200, 180)), 280 - 192, 320 - 192)
    left, right = (
        render_setting(scene.setting(window), weather, thermal=False) for window in (one, other)
    )
    here = inner
    there = Window(inner.col_off - 200, inner.row_off - 180, inner.width, inner.height)
    assert shared.width > inner.width > 80
    np.testing.assert_array_equal(cropped(left.glacier, here), cropped(right.glacier, there))
    np.testing.assert_array_equal(cropped(left.heights, here), cropped(right.heights, there))
    change = np.abs(cropped(left.reflectance, here) - cropped(right.reflectance, there))
    # Edges of shadow fall between other pixels where rows are sheared from another first row.
    assert (change > 0.01).mean() < 0.005
    assert change.mean() < 1e-3


def test_rows_do_not_depend_on_tiles_but_for_noise(wide):
    _, scene, weather = wide
    one, other = (list(tiled_rows(scene, weather, camera(wide), tile_px)) for tile_px in (256, 400))
    assert [rows.numbers.shape[1] for rows in one] == [256, 256, 208]
    for name in ("label", "heights"):
        np.testing.assert_array_equal(
            *(np.concatenate([getattr(rows, name) for rows in made]) for made in (one, other))
        )
    seen = [np.concatenate([rows.numbers for rows in made], axis=1) for made in (one, other)]
    change = (seen[0].astype(float) - seen[1]) / 1e4
    # Noise of 2 % and of 0.003, drawn twice, and nothing else.
    expected = np.sqrt(2) * np.hypot(0.02 * seen[0] / 1e4, 0.003)
    assert np.abs(change.mean()) < 1e-4
    # Half of a normal distribution lies within 0.674 of its deviation.
    assert np.median(np.abs(change) / expected) == pytest.approx(0.674, rel=0.05)
    at_seam = np.abs(change[:, 255:257]) / expected[:, 255:257]
    assert at_seam.mean() == pytest.approx((np.abs(change) / expected).mean(), rel=0.1)


def test_the_next_rows_take_no_more_memory_than_the_first(wide):
    _, scene, weather = wide
    tracemalloc.start()
    try:
        peaks = []
        for _ in tiled_rows(scene, weather, camera(wide), 180):
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert len(peaks) == 4
    # The first and the last rows have nothing above or below them to look at, those between do.
    assert max(peaks[2:]) < 1.1 * peaks[1]


def test_a_scene_in_tiles_is_like_one_made_at_once(wide):
    grid, scene, weather = wide
    whole_grid, view = make_view(OPTIONS)
    assert grid == whole_grid
    tiled = render_setting(scene.setting(grid.window), weather)
    # Lakes lie elsewhere, and the frame is another.
    assert (np.abs(tiled.heights - view.heights) < 1).mean() > 0.98
    both = (tiled.glacier > 0) & (view.glacier > 0)
    either = (tiled.glacier > 0) | (view.glacier > 0)
    assert both.sum() > 0.95 * either.sum()
    for name in ("ice", "snow", "firn", "debris", "gneiss", "meadow"):
        shares = [seen.surface[name].mean() for seen in (tiled, view)]
        assert shares[0] == pytest.approx(shares[1], abs=0.03), name
    for band in range(len(ROLES)):
        one, other = tiled.reflectance[band], view.reflectance[band]
        assert np.median(one) == pytest.approx(np.median(other), rel=0.15)
        assert one.std() == pytest.approx(other.std(), rel=0.15)


def test_a_large_scene_comes_with_its_dem_and_its_outlines(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[make_wide.__module__], "WHOLE_PX", 256)
    monkeypatch.setattr(parts.tiled_rows, "__defaults__", (256,))
    options = SimulateOptions(size=600, gsd=20, seed=3, sensor="landsat-7", vary=True)
    made, again = (simulate(tmp_path / name, options) for name in ("one", "again"))
    for name in ("scene", "dem", "outlines"):
        assert getattr(made, name).read_bytes() == getattr(again, name).read_bytes()
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        raster = scene.read(scene.grid.window)
        assert raster.valid.all()
        assert scene.dem.read(scene.grid).valid.all()
    glaciers = gx.read_outlines(made.outlines)
    complexes = gx.read_outlines(made.outlines, "complexes")
    assert len(glaciers) >= len(complexes) > 2
    assert np.isfinite(glaciers["zmean_m"].astype(float)).all()
    with rasterio.open(made.scene) as file:
        assert file.descriptions == ("blue", "green", "red", "nir", "swir1", "tir1", "swir2")
        numbers = file.read()
    # The gain of a column runs through all tiles: the noise of each pixel is its own.
    lines = numbers[3].astype(float)
    step = np.abs(np.diff(lines, axis=0)).mean(axis=1)
    at_seam = step[[255, 511]]
    assert at_seam.max() < step.mean() + 4 * step.std()


def test_a_real_place_of_that_size_is_refused(tmp_path):
    with pytest.raises(OptionError, match="at most 8192"):
        simulate(
            tmp_path / "m",
            SimulateOptions(size=9000),
            dem=tmp_path / "dem.tif",
            outlines=tmp_path / "outlines.gpkg",
        )
