"""Aspects turn with the view: planes of a turned cone are the turned planes of the cone."""

import numpy as np
import pytest
import torch
from factories import tiny_card, utm_grid, write_tif
from torch import nn

from glacierx.errors import GlacierxWarning, MissingBandError, ModelError
from glacierx.networks.layers import Output
from glacierx.options import PredictOptions
from glacierx.predict.card import Card, Slot
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import DIRECTED, Normalisation
from glacierx.predict.predict import predict
from glacierx.predict.sample import fit_normaliser
from glacierx.predict.tta import VIEWS, turn, turn_planes, views_of
from glacierx.scene.forms import forms
from glacierx.scene.relief import FORMS
from glacierx.scene.scene import open_scene
from glacierx.training.augment import STEADY, Augmenter, Batch, turned

SIDE = 33
BOTH = ("aspect_sin", "aspect_cos")


def planes_of(heights, roles):
    """Forms of terrain on square cells of 10 m, north up."""
    frame = np.ones(heights.shape) * np.array([10.0, 0, 0, -10.0])[:, None, None]
    return torch.from_numpy(forms(heights, frame, roles)).float()


def cone():
    """A cone, beside the middle and on a slope, so that no view of it is like another."""
    row, column = np.indices((SIDE, SIDE)).astype(float)
    return 3000 - 6 * np.hypot(row - 11, column - 19) - 1.5 * row + 0.7 * column


@pytest.mark.parametrize("view", VIEWS["d4"])
def test_forms_of_turned_ground_are_the_turned_forms(view):
    heights = torch.from_numpy(cone())
    roles = tuple(FORMS)
    there = planes_of(turn(heights, view).numpy(), roles)
    here = turn_planes(planes_of(cone(), roles), view, roles)
    inner = np.s_[3:-3, 3:-3]
    for role, one, other in zip(roles, here, there, strict=True):
        if role in ("aspect_north", "aspect_south") and view[0] % 2:
            continue  # Not known of a quarter turn, which such planes are not shown in.
        scale = float(other.abs().max())
        assert torch.allclose(one[inner], other[inner], atol=2e-6 * max(scale, 1e-3) + 1e-7), role


def test_planes_that_point_nowhere_are_but_turned():
    x = torch.rand(2, 3, 8, 8)
    for view in VIEWS["d4"]:
        assert torch.equal(turn_planes(x, view, ("green", "slope", "ndsi")), turn(x, view))


def test_a_part_of_a_direction_alone_has_no_quarter_turns():
    assert views_of("d4", ("green", *BOTH)) == VIEWS["d4"]
    assert views_of("chu6", ("green",)) == VIEWS["chu6"]
    for alone in (("aspect_north",), ("aspect_south", *BOTH), ("aspect_cos",), ("aspect_sin",)):
        assert {turns % 2 for turns, _ in views_of("d4", alone)} == {0}
        assert len(views_of("d4", alone)) == len(views_of("chu6", alone)) == 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("roles", [BOTH, ("aspect_north", "aspect_south"), ("aspect_sin",)])
def test_augmented_patches_are_patches_of_turned_ground(roles):
    heights = torch.from_numpy(cone())
    # The heights as a plane of their own tell which view it was.
    planes = torch.cat([planes_of(cone(), roles), heights[None].float()])
    many = 64
    batch = Batch(
        planes.expand(many, -1, -1, -1), torch.ones(many, len(planes)),
        torch.ones(many, SIDE, SIDE, dtype=torch.uint8),
    )  # fmt: skip
    found = turned(batch, generator(), (*roles, "elevation"))
    seen = set()
    for x in found.x:
        [view] = [v for v in VIEWS["d4"] if torch.equal(x[-1], turn(heights.float(), v))]
        seen.add(view)
        expected = planes_of(turn(heights, view).numpy(), roles)
        assert torch.allclose(x[:-1, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], atol=1e-5)
    assert seen == set(views_of("d4", roles))


def test_a_patch_without_one_of_two_parts_is_shown_no_quarter_turn():
    roles = (*BOTH, "elevation")
    x = torch.rand(64, 3, 9, 9)
    present = torch.ones(64, 3)
    present[::2, 0] = 0
    x[::2, 0] = 0
    found = turned(Batch(x, present, torch.ones(64, 9, 9).byte()), generator(), roles)
    assert torch.equal(found.present, present)
    assert not found.x[::2, 0].any()
    quarter = [
        any(torch.equal(after[2], turn(before[2], v)) for v in VIEWS["d4"] if v[0] % 2)
        for before, after in zip(x, found.x, strict=True)
    ]
    assert not any(quarter[::2])
    assert any(quarter[1::2])


def test_light_leaves_forms_and_indices_alone():
    roles = ("green", "elevation", "coherence", "ndsi", *FORMS)
    x = torch.rand(40, len(roles), 24, 24) * 4 - 2
    batch = Batch(x, torch.ones(40, len(roles)), torch.ones(40, 24, 24).byte())
    found = Augmenter(roles, "full", 0.0, ())._lit(batch, generator())
    for plane, role in enumerate(roles):
        assert torch.equal(found.x[:, plane], x[:, plane]) == (role in STEADY), role
    assert set(STEADY) >= {"ndsi", "sadi", *DIRECTED}


def test_parts_of_a_direction_are_left_out_together():
    roles = ("nir", "aspect_sin", "ndsi", "aspect_cos")
    batch = Batch(torch.rand(400, 4, 8, 8), torch.ones(400, 4), torch.ones(400, 8, 8).byte())
    found = Augmenter(roles, "flips", 0.9, roles[1:])(batch, generator()).present
    assert torch.equal(found[:, 1], found[:, 3])
    assert 0 < found[:, 1].mean() < 1
    assert not torch.equal(found[:, 1], found[:, 2])
    one = Augmenter(roles, "flips", 0.9, ("aspect_sin", "ndsi"))(batch, generator()).present
    assert one[:, 1].all()


# Whole scenes: a network that is itself the same in every view sees the same ground in each.


class Westward(nn.Module):
    """Logits from what must be there in every view: the parts by where the ground rises."""

    def forward(self, inputs):
        east, north, high = inputs.x.unbind(1)
        right = torch.zeros_like(high)
        up = torch.zeros_like(high)
        right[..., 1:-1] = high[..., 2:] - high[..., :-2]
        up[..., 1:-1, :] = high[..., :-2, :] - high[..., 2:, :]
        # Downhill is against the rise, in each view: the product is the same.
        return Output(mask=(5 * (east * right + north * up))[:, None])


def test_views_of_a_scene_agree_with_its_ground(tmp_path, make_dem):
    grid = utm_grid((64, 64))
    row, column = np.indices(grid.shape).astype(float)
    dem = make_dem(3000 - 4 * np.hypot(row - 20, column - 40) - 2 * row, grid)
    path = write_tif(
        tmp_path / "s.tif", np.ones((1, 64, 64), "float32"), grid, descriptions=("green",)
    )
    slots = tuple(Slot(role, "terrain") for role in (*BOTH, "elevation"))
    fixed = Normalisation("fixed", mean=(0.0, 0.0, 3000.0), std=(1.0, 1.0, 10.0))
    card = Card("west", "none", slots, normalisation=fixed, patch_px=64)
    with open_scene(path, dem=dem) as scene:
        maps = {}
        for tta in ("none", "d4", "chu6"):
            options = PredictOptions(tta=tta, keep=1.0)
            with predict(scene, Model(Westward(), card), options) as prediction:
                maps[tta] = prediction.read(scene.grid.window).astype(int)
        assert prediction.record["terrain"]["roles"] == [*BOTH, "elevation"]
    # One step of probability is what an average rounds by.
    assert np.abs(maps["none"] - maps["d4"]).max() <= 1
    assert np.abs(maps["none"] - maps["chu6"]).max() <= 1
    # Against the rise everywhere but at the top and on the frame: -5 x rise, far from one half.
    slopes = np.hypot(row - 20, column - 40) > 8
    assert maps["none"][2:-2, 2:-2][slopes[2:-2, 2:-2]].max() < 0.45 * 250


class First(nn.Module):
    """Logits that are the first plane."""

    def forward(self, inputs):
        return Output(mask=inputs.x[:, :1])


def test_a_model_with_one_part_says_that_it_is_shown_fewer_views(tmp_path, make_dem):
    grid = utm_grid((64, 64))
    dem = make_dem(3000 - 5.0 * np.indices(grid.shape)[0], grid)
    path = write_tif(
        tmp_path / "s.tif", np.ones((1, 64, 64), "float32"), grid, descriptions=("green",)
    )
    card = Card("north", "none", (Slot("aspect_north", "terrain"),), patch_px=64)
    with (
        open_scene(path, dem=dem) as scene,
        pytest.warns(
            GlacierxWarning, match="no quarter turns: --tta d4 averages 4 views and not 8"
        ),
        predict(scene, Model(First(), card), PredictOptions(tta="d4")),
    ):
        pass


# Scaling


def test_directions_keep_their_0_and_forms_their_limits(tmp_path, make_dem):
    grid = utm_grid((64, 64))
    row, column = np.indices(grid.shape).astype(float)
    dem = make_dem(3000 - 3 * np.hypot(row - 90, column), grid)
    path = write_tif(tmp_path / "s.tif", np.ones((2, 64, 64), "float32"), grid,
                     descriptions=("green", "swir1"))  # fmt: skip
    roles = ("green", *FORMS, "slope", "ndsi")
    with open_scene(path, dem=dem) as scene:
        for kind in ("percentile-scene", "spectral-scene"):
            normalise = fit_normaliser(Normalisation(kind), scene, roles)
            for role in DIRECTED:
                at = roles.index(role)
                # Nothing is cut off at -0.5 or 1.5.
                assert (normalise.shift[at], normalise.scale[at]) == (0, 2)
        bend = roles.index("profile_curvature")
        values = np.full((len(roles), 1, 2), [[0.0, 0.02]], np.float32)
        scaled = normalise(values, np.ones((1, 2), bool))
        assert scaled[bend, 0] == pytest.approx([0.5, 1.0])
        assert scaled[roles.index("ndsi"), 0] == pytest.approx([0.5, 0.51])


def test_a_raster_with_gaps_is_scaled_by_its_own_pixels(tmp_path):
    grid = utm_grid((64, 64))
    green = np.tile(np.arange(64, dtype="float32"), (64, 1))
    beside = np.full((64, 64), -1, "float32")
    beside[:, 60:] = [5, 6, 7, 8]
    path = write_tif(tmp_path / "s.tif", green[None], grid, descriptions=("green",))
    file = write_tif(tmp_path / "v.tif", beside[None], grid, nodata=-1)
    with open_scene(path, aux={"velocity": file}) as scene:
        how = Normalisation("percentile-scene", 0, 100)
        normaliser = fit_normaliser(how, scene, ("green", "velocity"))
    assert normaliser.shift == pytest.approx([0, 5])
    assert normaliser.scale == pytest.approx([63, 3])


@pytest.mark.parametrize(
    "scaling",
    [
        Normalisation("fixed", mean=(0.3, 0.1, 0.0), std=(0.2, 0.7, 0.7)),
        Normalisation("fixed", mean=(0.3, 0.0, 0.0), std=(0.2, 0.7, 0.6)),
        Normalisation("joint-minmax-patch"),
    ],
)
def test_a_card_that_would_bend_directions_is_refused(scaling):
    slots = (Slot("green"), *(Slot(role, "terrain") for role in BOTH))
    with pytest.raises(ModelError, match="aspects, which turn with the view"):
        tiny_card(inputs=slots, normalisation=scaling)
    good = Normalisation("fixed", mean=(0.3, 0.0, 0.0), std=(0.2, 0.7, 0.7))
    assert tiny_card(inputs=slots, normalisation=good).roles[1:] == BOTH


# Cards


def test_a_card_names_a_role_of_its_own_in_the_group_aux_alone():
    slot = Slot("dhdt", "aux")
    card = tiny_card(inputs=(Slot("green"), slot), minimum=(("dhdt",),))
    assert Card.from_json(card.to_json(), "x") == card
    bad = ("../../etc", 5, "A", "x" * 33, ["a"], None, "a b", "")
    for role, group in (("dhdt", "optical"), ("gren", "terrain"), *((one, "aux") for one in bad)):
        with pytest.raises(ModelError, match="which is no role"):
            Slot(role, group)


def test_a_model_says_which_role_a_scene_lacks_and_how_to_give_it(make_scene, tmp_path):
    path = make_scene(np.ones((64, 64), bool), roles=("green", "nir"))
    with open_scene(path) as scene:
        for slot, said in (
            (Slot("ndsi", "index"), "ndsi needs swir1, which the scene lacks"),
            (Slot("sadi", "terrain"), "give --dem FILE"),
            (Slot("coherence", "insar"), "give --aux coherence=FILE"),
            (Slot("dhdt", "aux"), "Give it with --aux dhdt=FILE"),
        ):
            card = tiny_card(inputs=(Slot("green"), slot))
            with pytest.raises(MissingBandError, match=said):
                card.check(scene)
            assert not card.fits(scene)
            # An optional one is done without.
            tiny_card(inputs=(Slot("green"), Slot(slot.role, slot.group, required=False))).check(
                scene
            )


def test_pixels_without_a_required_raster_are_unknown_and_without_an_optional_one_are_not(tmp_path):
    grid = utm_grid((64, 64))
    path = write_tif(
        tmp_path / "s.tif", np.ones((1, 64, 64), "float32"), grid, descriptions=("green",)
    )
    beside = np.ones((64, 64), "float32")
    beside[:, 40:] = np.nan
    file = write_tif(tmp_path / "c.tif", beside[None], grid)
    for required in (True, False):
        slots = (Slot("green"), Slot("coherence", "insar", required))
        fixed = Normalisation("fixed", mean=(0.0, 0.0), std=(1.0, 1.0))
        card = Card("c", "none", slots, normalisation=fixed, patch_px=64)
        with (
            open_scene(path, aux={"coherence": file}, scale=1.0) as scene,
            predict(scene, Model(First(), card)) as prediction,
        ):
            unknown = prediction.read(grid.window) == 255
            assert prediction.record["scene"]["aux"]["coherence"]["name"] == "c.tif"
        assert not unknown[:, :40].any()
        assert unknown[:, 40:].all() == required
        assert unknown[:, 40:].any() == required
