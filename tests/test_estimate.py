"""What is told before a scene is extracted."""

import sys

import numpy as np
import pytest
from factories import disc, utm_grid, write_tif

import glacierx as gx
from glacierx.errors import OptionError
from glacierx.estimate import estimate
from glacierx.predict.tiling import Tiling

PREDICT = gx.ExtractOptions(gx.PredictOptions(patch_px=64))


def small_model():
    card = gx.Card("m", "deeplabv3plus", (gx.Slot("green"),), patch_px=64,
                   arguments={"depth": 18, "widths": [4, 4, 4, 4, 8]})  # fmt: skip
    return gx.build_model(card)


def test_patches_are_those_of_the_run_and_empty_ones_are_told(tmp_path):
    shape = (400, 300)
    values = np.full((1, *shape), 5000, "uint16")
    values[:, 200:] = 0
    path = write_tif(tmp_path / "s.tif", values, utm_grid(shape), descriptions=("green",), nodata=0)
    with gx.open_scene(path) as scene:
        found = estimate(scene, small_model(), PREDICT)
    tiling = Tiling(shape, 64)
    assert found.patches == tiling.patches
    below = [down for down in tiling.down if down.first >= 200]
    assert found.skipped == len(below) * len(tiling.across)
    assert found.minutes > 0
    assert found.memory_mb > 50
    assert found.disk_mb > 0
    assert [file.name for file in tmp_path.iterdir()] == ["s.tif"]
    assert f"{tiling.patches}, of which {found.skipped} hold nothing" in str(found)


def test_a_scene_without_a_valid_pixel_takes_nothing(tmp_path):
    path = write_tif(
        tmp_path / "s.tif", np.zeros((1, 100, 100), "uint8"), utm_grid((100, 100)),
        descriptions=("green",), nodata=0,
    )  # fmt: skip
    with gx.open_scene(path) as scene:
        found = estimate(scene, small_model(), PREDICT)
    assert found.skipped == found.patches == 4
    assert found.minutes == 0


@pytest.mark.parametrize(("spare", "each"), [(True, 2.0 + 0.5), (False, 3.0 + 2.0 + 0.5)])
def test_reading_counts_where_no_processor_is_left_for_it(make_scene, monkeypatch, spare, each):
    module = sys.modules["glacierx.estimate"]
    taken = module._Sample([3.0] * 3, [2.0] * 3, [0.25, 0.5, 0.75], [1000] * 3, [100] * 3)
    if spare:
        taken.reading = [1.0] * 3
    monkeypatch.setattr(module, "_run_some", lambda *given: taken)
    monkeypatch.setattr(module, "has_spare_core", lambda device: spare)
    with gx.open_scene(make_scene(disc((80, 80), (40, 40), 30))) as scene:
        found = estimate(scene, small_model(), PREDICT, rasters=2)
    assert found.patches == 4
    # What is done once, such as making the network ready, comes on top.
    assert 4 * each / 60 <= found.minutes < 4 * each / 60 + 0.5
    assert found.disk_mb == pytest.approx((4 * 1000 * 2 + 400 * module.VERTEX_STORED) / 1e6)


def test_a_pixel_method_has_no_patches_to_time(make_scene):
    with (
        gx.open_scene(make_scene(disc((80, 80), (40, 40), 30))) as scene,
        pytest.raises(OptionError, match="ndsi is a pixel method"),
    ):
        estimate(scene, "ndsi")
