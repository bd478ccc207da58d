import sys
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from factories import disc, utm_grid, write_tif
from scipy import ndimage
from torch import nn

from glacierx.errors import GlacierxWarning, ModelError, OptionError, OutputError
from glacierx.networks.layers import Output
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.card import Card, Slot
from glacierx.predict.context import read_context
from glacierx.predict.engine import Engine
from glacierx.predict.modelfile import Model, build_model
from glacierx.predict.normalise import Normalisation, Normaliser
from glacierx.predict.predict import _say_what_tta_costs, predict
from glacierx.predict.strips import Patch
from glacierx.scene.prediction import NODATA
from glacierx.scene.scene import open_scene
from glacierx.scene.stored import Stored


class Pointwise(nn.Module):
    """Logits that depend on each pixel alone: ten times what its first channel is above 0.3."""

    def forward(self, inputs):
        return Output(mask=10 * (inputs.x[:, :1] - 0.3))


class Blur(nn.Module):
    """Logits from a square of 7 x 7 pixels."""

    def forward(self, inputs):
        return Output(mask=nn.functional.avg_pool2d(inputs.x[:, :1], 7, 1, 3) * 10 - 3)


class Slope(nn.Module):
    """Logits that differ to the right, so that views of it differ."""

    def forward(self, inputs):
        x = inputs.x[:, :1]
        return Output(mask=x + torch.linspace(-3, 3, x.shape[-1]))


class Channels(nn.Module):
    """Logits from the presence flags and the sum of the planes."""

    def forward(self, inputs):
        x = inputs.x
        return Output(mask=x.sum(1, keepdim=True) + inputs.present.sum(1)[:, None, None, None])


class Classes(nn.Module):
    """Two classes whose logits are the first channel and its negative."""

    def forward(self, inputs):
        return Output(mask=torch.cat([-inputs.x[:, :1], inputs.x[:, :1]], dim=1))


class Context(nn.Module):
    """Logits that are the wider view."""

    def forward(self, inputs):
        return Output(mask=inputs.context[:, :1])


FIXED = Normalisation("fixed", mean=(0.0,), std=(1.0,))


def model(network, roles=("green",), **changes):
    slots = tuple(Slot(role) for role in roles)
    fixed = Normalisation("fixed", mean=(0.0,) * len(roles), std=(1.0,) * len(roles))
    card = Card("test", "none", slots, normalisation=fixed, patch_px=64)
    return Model(network, replace(card, **changes))


def steps(scene, chosen, options=PredictOptions(), **arguments):
    with predict(scene, chosen, options, **arguments) as prediction:
        return prediction.read(prediction.grid.window)


MASK = disc((150, 170), (70, 80), 40)


def test_a_pointwise_network_gives_what_it_should(make_scene):
    with open_scene(make_scene(MASK)) as scene:
        found = steps(scene, model(Pointwise()))
        green = scene.read(scene.grid.window, ["green"]).values[0]
    expected = np.rint(1 / (1 + np.exp(-10 * (green - 0.3))) / 0.004)
    assert np.abs(found - expected).max() <= 1  # a step of rounding in float32


@pytest.mark.parametrize(("options", "batch"), [
    (PredictOptions(patch_px=48), None), (PredictOptions(), 3), (PredictOptions(keep=0.5), None),
    (PredictOptions(patch_px=170, keep=1.0), None), (PredictOptions(tta="d4"), 2),
])  # fmt: skip
def test_tiling_and_batches_do_not_change_a_pointwise_network(make_scene, options, batch):
    with open_scene(make_scene(MASK)) as scene:
        plain = steps(scene, model(Pointwise()))
        other = steps(scene, model(Pointwise()), options, engine=EngineOptions(batch=batch))
    assert np.array_equal(plain, other)


def test_a_small_receptive_field_leaves_no_seams(make_scene):
    values = np.random.default_rng(0).random((200, 230)).astype("float32")
    with open_scene(make_scene(values > 0.5)) as scene:
        tiled = steps(scene, model(Blur()), PredictOptions(patch_px=64, keep=0.75))
        whole = steps(scene, model(Blur()), PredictOptions(patch_px=230, keep=1.0))
    inside = (slice(3, -3),) * 2
    assert np.abs(tiled[inside].astype(int) - whole[inside]).max() <= 1
    assert (tiled[inside] != whole[inside]).mean() < 1e-3  # rounding of the convolution alone


@pytest.mark.parametrize("collar", [0, -9999, 65535, np.nan])
def test_a_collar_never_reaches_farther_than_the_receptive_field(tmp_path, collar):
    random = np.random.default_rng(0)
    values = random.random((1, 150, 170)).astype("float32")
    valid = disc((150, 170), (75, 85), 60)
    grid = utm_grid((150, 170))
    paths = []
    for name, outside in (("a.tif", collar), ("b.tif", 0.77)):
        filled = np.where(valid, values, np.float32(outside))
        nodata = np.where(valid, 0, 1).astype("uint8")[None]
        paths.append(write_tif(tmp_path / name, filled, grid, descriptions=("green",)))
        write_tif(tmp_path / f"{name}.qa.tif", nodata, grid)
    for how in (FIXED, Normalisation("percentile-scene"), Normalisation("joint-minmax-patch")):
        found = []
        for path in paths:
            with open_scene(path, scale=1.0, invalid=f"{path}.qa.tif") as scene:
                found.append(steps(scene, model(Blur(), normalisation=how)))
        # Invalid pixels are replaced before the network sees them, so nothing differs at all.
        assert np.array_equal(found[0], found[1])
        assert (found[0][~valid] == NODATA).all()
        assert (found[0][valid] != NODATA).all()


def test_tta_averages_probabilities_not_logits(make_scene):
    with open_scene(make_scene(np.zeros((64, 64), bool))) as scene:
        plain = steps(scene, model(Slope()))
        both = steps(scene, model(Slope()), PredictOptions(tta="d4"))
    x = 0.14 + np.linspace(-3, 3, 64)
    p = 1 / (1 + np.exp(-x))
    # d4 shows every pixel at its column, its row, and both mirrored, each twice.
    expected = (p[None] + p[None, ::-1] + p[:, None] + p[::-1, None]) / 4
    assert np.abs(plain[0] * 0.004 - p).max() < 0.003
    assert np.abs(both * 0.004 - expected).max() < 0.003


def test_the_cards_temperature_divides_logits(make_scene):
    with open_scene(make_scene(np.zeros((64, 64), bool))) as scene:
        found = steps(scene, model(Slope(), temperature=2.0))
    p = 1 / (1 + np.exp(-(0.14 + np.linspace(-3, 3, 64)) / 2))
    assert np.abs(found[0] * 0.004 - p).max() < 0.003


def test_dropout_is_off_whatever_the_state_of_the_network(make_scene):
    class Dropping(nn.Module):
        def forward(self, inputs):
            logits = 10 * (inputs.x[:, :1] - 0.3)
            return Output(mask=nn.functional.dropout(logits, training=self.training))

    network = Dropping().train()
    with open_scene(make_scene(MASK)) as scene:
        found = steps(scene, model(network))
        assert np.array_equal(found, steps(scene, model(Pointwise())))
    assert network.training  # what is given stays as it was


def test_a_network_that_gives_no_numbers_is_an_error(make_scene, tmp_path):
    class Broken(nn.Module):
        def forward(self, inputs):
            return Output(mask=inputs.x[:, :1] * float("nan"))

    with (
        open_scene(make_scene(MASK)) as scene,
        pytest.raises(ModelError, match="numbers that are not finite"),
    ):
        predict(scene, model(Broken()), path=tmp_path / "p.tif")
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]


def test_patches_must_fit_the_strides_of_the_network(make_scene):
    network = Pointwise()
    network.stride = 16
    with open_scene(make_scene(MASK)) as scene:
        steps(scene, model(network), PredictOptions(patch_px=48))
        with pytest.raises(OptionError, match=r"is 100 .* multiples of 16, such as 96 or 112"):
            steps(scene, model(network), PredictOptions(patch_px=100))


def test_a_small_scene_is_mirrored_with_its_holes(tmp_path):
    values = np.random.default_rng(0).random((1, 40, 50)).astype("float32")
    values[0, 2:4, 45] = np.nan
    path = write_tif(tmp_path / "s.tif", values, utm_grid((40, 50)), descriptions=("green",))
    with open_scene(path, scale=1.0) as scene:
        found = steps(scene, model(Blur()))
    around = np.pad(np.nan_to_num(values[0]), 10, mode="reflect")
    mean = ndimage.uniform_filter(around, 7)[10:-10, 10:-10]
    # Only the sides that the patch reaches beyond are mirrored.
    expected = 1 / (1 + np.exp(-(mean * 10 - 3)))
    good = np.isfinite(values[0])
    good[:3] = good[:, :3] = False
    assert np.abs(found * 0.004 - expected)[good].max() < 0.003


def test_a_wider_view_turns_with_the_patch(make_scene):
    with open_scene(make_scene(MASK)) as scene:
        plain = steps(scene, model(Context(), context=2))
        turned = steps(scene, model(Context(), context=2), PredictOptions(tta="d4"))
    assert len(np.unique(plain)) > 2
    assert np.array_equal(plain, turned)


def test_the_cards_tta_is_the_default(make_scene):
    with open_scene(make_scene(np.zeros((64, 64), bool))) as scene:
        by_card = steps(scene, model(Slope(), tta="chu6"))
        asked = steps(scene, model(Slope()), PredictOptions(tta="chu6"))
        off = steps(scene, model(Slope(), tta="chu6"), PredictOptions(tta="none"))
    assert np.array_equal(by_card, asked)
    assert not np.array_equal(by_card, off)


def test_views_of_a_pointwise_network_average_to_the_plain_one():
    identity = model(Pointwise())
    normaliser = Normaliser(np.zeros(1, np.float32), np.ones(1, np.float32))
    values = np.random.default_rng(0).random((1, 64, 64)).astype(np.float32)
    patch = Patch((Stored.physical(["green"], values),), np.ones((64, 64), bool), None)
    one, eight = (
        engine.probability(engine.feed([patch]))
        for engine in (Engine(identity, normaliser, [True], tta=tta) for tta in ("none", "d4"))
    )
    # Vectorised sigmoids differ in their last bit with the place of a pixel in memory.
    assert np.allclose(one, eight, rtol=0, atol=2e-7)


def test_an_absent_optional_role_is_zero_and_flagged(make_scene):
    slots = (Slot("green"), Slot("red_edge1", required=False), Slot("nir"))
    fixed = Normalisation("fixed", mean=(0.0,) * 3, std=(1.0,) * 3)
    card = Card("test", "none", slots, normalisation=fixed, patch_px=64)
    with open_scene(make_scene(np.zeros((64, 64), bool), roles=("green", "nir"))) as scene:
        found = steps(scene, Model(Channels(), card))
    logit = 0.14 + 0.0 + 0.19 + 2  # two planes of rock, and two of three roles present
    assert found[0, 0] == pytest.approx(250 / (1 + np.exp(-logit)), abs=1)


def test_several_classes_become_several_bands(make_scene, tmp_path):
    two = model(Classes(), classes=("glacier", "other"))
    with open_scene(make_scene(MASK)) as scene:
        with predict(scene, two, path=tmp_path / "p.tif") as prediction:
            glacier = prediction.read(prediction.grid.window)
    with rasterio.open(tmp_path / "p.tif") as file:
        bands = file.read()
        assert file.descriptions == ("probability of glacier", "probability of other")
    assert np.array_equal(bands[0], glacier)
    assert np.abs(bands.astype(int).sum(axis=0) - 250).max() <= 1  # a softmax sums to one


def test_a_wider_view_is_averaged_around_the_patch(tmp_path):
    rows, _ = np.indices((200, 200)).astype("float32")
    path = write_tif(
        tmp_path / "s.tif", (rows / 100)[None], utm_grid((200, 200)), descriptions=("green",)
    )
    with open_scene(path, scale=1.0) as scene:
        values, valid = read_context(scene, ("green",), (68, 68), 64, 3)
        found = steps(scene, model(Context(), context=3))
    # The view of 192 rows begins at 68 - 64 = 4; its first block holds rows 4, 5 and 6.
    assert values[0, 0, 0] == pytest.approx(0.05)
    assert valid.all()
    # For the first patch the view begins at -64: blocks above the scene are empty.
    outside, known = (part for part in read_context_at(path, (0, 0)))
    assert not known[:21].any()
    assert outside[0, 22, 40] == pytest.approx(0.03, abs=1e-6)  # rows 2, 3, 4
    assert found.shape == (200, 200)


def read_context_at(path, corner):
    with open_scene(path, scale=1.0) as scene:
        return read_context(scene, ("green",), corner, 64, 3)


class Terrain(nn.Module):
    """Logits that say how high a pixel is above 3000 m, in tens of metres, where it is told."""

    def forward(self, inputs):
        return Output(mask=inputs.present[:, 1, None, None, None] * (inputs.x[:, 1:2] - 3000) / 10)


def terrain_model():
    slots = (Slot("green"), Slot("elevation", "terrain", False), Slot("slope", "terrain", False))
    fixed = Normalisation("fixed", mean=(0.0,) * 3, std=(1.0,) * 3)
    return Model(Terrain(), Card("high", "none", slots, normalisation=fixed, patch_px=64))


@pytest.mark.parametrize("step", [10, 30])
def test_a_network_is_given_the_heights_of_the_dem(make_scene, make_dem, step):
    cells = utm_grid((1700 // step, 2000 // step), step, corner=(599_900, 5_200_100))
    heights = cells.to_map(*(np.indices(cells.shape) + 0.5))[1] / 20 - 260_000 + 3000 + 40
    with open_scene(make_scene(MASK), dem=make_dem(heights, cells)) as scene:
        found = steps(scene, terrain_model())
        tiles = steps(scene, terrain_model(), PredictOptions(patch_px=48),
                      engine=EngineOptions(batch=2))  # fmt: skip

        with predict(scene, terrain_model()) as prediction:
            record = prediction.record
    # Half a metre down from row to row.
    above = 40 - 0.5 * (np.arange(150) + 0.5)
    expected = 1 / (1 + np.exp(-above / 10)) / 0.004
    assert np.abs(found - expected[:, None]).max() <= 0.6  # half a step, and float32 of heights
    assert np.array_equal(found, tiles)
    assert record["terrain"]["roles"] == ["elevation", "slope"]
    assert record["terrain"]["dem"]["name"] == "dem.tif"
    assert record["terrain"]["dem"]["band"] == 1
    assert len(record["terrain"]["dem"]["sha256"]) == 64
    with open_scene(make_scene(MASK)) as scene, predict(scene, terrain_model()) as prediction:
        assert np.all(prediction.read(prediction.grid.window) == 125)  # no height, a half
        assert "terrain" not in prediction.record


def test_a_record_names_the_dem_only_where_it_was_read(make_scene, make_dem, tmp_path):
    dem = make_dem(np.full((150, 170), 3000.0), utm_grid((150, 170)))
    values = np.full((3, 150, 170), 3010, "float32")
    path = write_tif(tmp_path / "own.tif", values, utm_grid((150, 170)),
                     descriptions=("green", "elev_m", "slope_deg"))  # fmt: skip
    with open_scene(make_scene(MASK), dem=dem) as scene, predict(scene, "ndsi") as prediction:
        assert "terrain" not in prediction.record
    with open_scene(path, dem=dem, scale=1.0) as scene:
        with predict(scene, terrain_model()) as prediction:
            own = round(1 / (1 + np.exp(-1)) / 0.004)
            assert np.all(prediction.read(prediction.grid.window) == own)
            assert "terrain" not in prediction.record
            assert prediction.record["scene"]["bands"]["elevation"]["band"] == 2


def test_a_wider_view_shows_the_heights_too(make_scene, make_dem):
    cells = utm_grid((150, 170))
    heights = 2000 + 3.0 * np.indices(cells.shape)[0]
    with open_scene(make_scene(MASK), dem=make_dem(heights, cells)) as scene:
        values, valid = read_context(scene, ("green", "elevation"), (43, 43), 64, 2)
    assert valid.all()
    # The view of 128 rows begins at 43 - 32 = 11; each of its rows is the mean of two.
    assert np.allclose(values[1], (2000 + 3 * (11.5 + 2 * np.arange(64)))[:, None], atol=1e-3)


def test_the_files_are_as_promised(make_scene, tmp_path):
    path = make_scene(MASK, nodata=0)
    with open_scene(path) as scene:
        with predict(scene, "ndsi", path=tmp_path / "p.tif", mask=tmp_path / "m.tif"):
            pass
        grid = scene.grid
    with rasterio.open(tmp_path / "p.tif") as file:
        assert (file.dtypes, file.nodata, file.scales) == (("uint8",), 255, (0.004,))
        assert np.array_equal(file.read(1), MASK * 250)
        assert file.crs == grid.crs
        assert file.transform == grid.transform
        assert str(tmp_path) not in str(file.tags())
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.nodata == 255
        assert np.array_equal(file.read(1), MASK)
        assert file.profile["tiled"]
    with open_scene(path) as scene, pytest.raises(OutputError, match="exists already"):
        predict(scene, "ndsi", path=tmp_path / "p.tif")


def test_a_temporary_map_vanishes(make_scene):
    from pathlib import Path

    with open_scene(make_scene(MASK)) as scene:
        with predict(scene, "ndsi") as prediction:
            path = Path(prediction.path)
            assert path.exists()
        assert not path.parent.exists()


def test_an_input_is_never_overwritten(make_scene):
    path = make_scene(MASK)
    with open_scene(path) as scene, pytest.raises(OutputError, match="is an input"):
        predict(scene, "ndsi", path=path, overwrite=True)


def test_long_runs_say_what_tta_costs():
    with pytest.warns(GlacierxWarning, match="about 60 minutes; --tta none would take about 10"):
        _say_what_tta_costs("chu6", 6, 3600)
    _say_what_tta_costs("chu6", 6, 599)
    _say_what_tta_costs("none", 1, 3600)


def test_what_tta_costs_is_told_after_the_first_patch(make_scene, monkeypatch):
    seen = []
    module = sys.modules["glacierx.predict.predict"]
    monkeypatch.setattr(module, "_say_what_tta_costs", lambda *a: seen.append(a))
    done = []
    with open_scene(make_scene(MASK)) as scene:
        steps(scene, model(Pointwise()), PredictOptions(tta="d4"),
              progress=lambda *_: done.append(len(seen)))  # fmt: skip
    [(tta, views, seconds)] = seen
    assert (tta, views) == ("d4", 8)
    assert seconds > 0
    assert done[0] == 1


def test_a_device_that_is_not_there_is_named(make_scene):
    with (
        open_scene(make_scene(MASK)) as scene,
        pytest.raises(OptionError, match="--device 'cuda:9"),
    ):
        predict(scene, model(Pointwise()), engine=EngineOptions(device="cuda:99"))


def test_progress_counts_patches(make_scene):
    seen = []
    with open_scene(make_scene(MASK)) as scene:
        steps(scene, model(Pointwise()), progress=lambda *call: seen.append(call))
    assert seen[-1][0] == seen[-1][1] == 9
    assert seen[-1][2] == "patches"


def test_memory_does_not_grow_with_height(tmp_path, monkeypatch):
    # The rows asked for at a time are the same whatever the height, and each comes once.
    path = write_tif(
        tmp_path / "s.tif", np.ones((1, 1000, 70), "uint8"), utm_grid((1000, 70)),
        descriptions=("green",),
    )  # fmt: skip
    spans = []
    with open_scene(path, scale=1.0) as scene:
        original = scene.read_stored

        def read(window, roles, needed):
            spans.append((window.row_off, window.row_off + window.height))
            return original(window, roles)

        chosen = model(Pointwise())
        monkeypatch.setattr(scene, "read_stored", read)
        steps(scene, chosen)
    assert max(last - first for first, last in spans) < 512  # whole blocks of the file
    assert spans[0][0] == 0
    assert [first for first, _ in spans[1:]] == [last for _, last in spans[:-1]]
    assert spans[-1][1] == 1000


def test_the_real_network_runs_end_to_end(make_scene):
    card = Card(
        "attention", "attention_deeplabv3plus", tuple(map(Slot, ("blue", "green", "red", "nir"))),
        arguments={"depth": 18, "widths": [8, 8, 16, 16, 32], "pyramid_width": 16}, tta="chu6",
        patch_px=64,
    )  # fmt: skip
    with open_scene(make_scene(MASK)) as scene:
        one, two = (steps(scene, build_model(card, seed=3)) for _ in range(2))
        window = steps(scene, build_model(card, seed=3), engine=EngineOptions(batch=4))
    assert np.array_equal(one, two)
    assert np.abs(one.astype(int) - window).max() <= 1
