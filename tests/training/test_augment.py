import numpy as np
import pytest
import torch

from glacierx.predict.tta import VIEWS, turn
from glacierx.training.augment import OPTICAL, Augmenter, Batch, resized
from glacierx.training.options import TrainOptions
from glacierx.training.preset import load_preset
from glacierx.training.samples import ICE, IGNORED, INVALID, OTHER

ROLES = ("green", "nir", "swir1", "elevation")
STARTER = load_preset("starter").card


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def patches(many=8, side=32, roles=ROLES, seed=0, present=None):
    """Patches with every kind of label; invalid pixels and absent planes are zero, as read."""
    random = generator(seed)
    label = torch.tensor([OTHER, ICE, INVALID, IGNORED], dtype=torch.uint8)[
        torch.randint(4, (many, side, side), generator=random)
    ]
    there = torch.ones(many, len(roles)) if present is None else present
    x = torch.rand(many, len(roles), side, side, generator=random) * there[..., None, None]
    return Batch(x * (label != INVALID)[:, None], there, label)


def augmenter(kind="full", dropout=0.0, roles=ROLES, optional=()):
    return Augmenter(roles, kind, dropout, optional)


def test_planes_and_label_are_turned_together_in_all_eight_views():
    batch = patches(64)
    # The label itself as a plane, and one that no symmetry leaves as it is.
    x = batch.x.clone()
    x[:, 0] = batch.label.float()
    marked = Batch(x, batch.present, batch.label)
    turned = augmenter("flips")(marked, generator())
    assert torch.equal(turned.x[:, 0], turned.label.float())
    seen = set()
    for before, after in zip(batch.label, turned.label, strict=True):
        [view] = [view for view in VIEWS["d4"] if torch.equal(turn(before, view), after)]
        seen.add(view)
    assert seen == set(VIEWS["d4"])


def test_flips_change_no_value():
    batch = patches()
    found = augmenter("flips")(batch, generator())
    for before, after in zip(batch.x, found.x, strict=True):
        for mine, theirs in zip(before, after, strict=True):
            assert torch.equal(mine.flatten().sort().values, theirs.flatten().sort().values)
    assert torch.equal(batch.present, found.present)


def test_none_changes_nothing():
    batch = patches()
    assert augmenter("none")(batch, generator()) is batch


def test_the_same_seed_gives_the_same_look_and_another_one_another():
    batch = patches()
    first, second, third = (augmenter()(batch, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.label, second.label)
    assert not torch.equal(first.x, third.x)


def test_z_scores_are_lit_as_the_planes_that_they_are_of():
    """The same scene, scaled to 0..1 or by mean and deviation, looks alike under another light."""
    batch = patches(40, side=24)
    batch = Batch(batch.x, batch.present, torch.ones_like(batch.label))
    plain = augmenter()(batch, generator())
    scores = Batch((batch.x - 0.5) * 4, batch.present, batch.label)
    found = Augmenter(ROLES, "full", 0.0, (), z_scored=True)(scores, generator())
    seen = plain.label != INVALID  # What is covered is 0 in either.
    assert seen.any()
    expected = ((plain.x - 0.5) * 4).movedim(1, -1)[seen]
    assert torch.allclose(found.x.movedim(1, -1)[seen], expected, atol=1e-5)


def test_what_is_absent_or_invalid_stays_zero():
    present = torch.ones(16, 4)
    present[::2, 2] = 0
    present[::3, 3] = 0
    batch = patches(16, present=present)
    for seed in range(20):
        found = augmenter(dropout=0.5, optional=ROLES)(batch, generator(seed))
        assert (found.x[found.present == 0] == 0).all()
        assert (found.present <= present).all()
        invalid = (found.label == INVALID)[:, None].expand_as(found.x)
        assert (found.x[invalid] == 0).all()
        assert torch.isfinite(found.x).all()
        assert found.x.min() >= -0.5
        assert found.x.max() <= 1.5


def test_a_gap_hides_pixels_and_no_label_is_made_up():
    batch = Batch(torch.ones(400, 4, 32, 32), torch.ones(400, 4), torch.ones(400, 32, 32).byte())
    found = augmenter()(batch, generator())
    assert set(found.label.unique().tolist()) == {ICE, INVALID}
    hidden = (found.label == INVALID).flatten(1).float().mean(1)
    # 15 % of patches lose a rectangle of 10 to 45 % of each side.
    assert float((hidden > 0).float().mean()) == pytest.approx(0.15, abs=0.05)
    assert hidden.max() <= 0.45**2
    for label in found.label[hidden > 0]:
        rows, columns = (label == INVALID).nonzero(as_tuple=True)
        box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert len(rows) == int(box)


def test_light_keeps_ice_brighter_than_rock_in_most_patches():
    """A look must not turn what is bright into what is dark."""
    half = (torch.arange(64) < 32).expand(200, 1, 64, 64)
    x = torch.where(half, 0.8, 0.2).repeat(1, 4, 1, 1)
    label = half[:, 0].byte()
    found = augmenter()(Batch(x, torch.ones(200, 4), label), generator())
    ice, rock = ((found.x[:, 0] * (found.label == kind)).sum((1, 2)) for kind in (ICE, OTHER))
    assert float((ice > rock).float().mean()) > 0.95


def changed(roles, value=0.5):
    """How far 2,000 even patches are from what they were, plane by plane."""
    batch = Batch(
        torch.full((2000, len(roles), 16, 16), value), torch.ones(2000, len(roles)),
        torch.ones(2000, 16, 16).byte(),
    )  # fmt: skip
    found = augmenter(roles=roles)(batch, generator())
    known = found.label != INVALID
    return [
        ((found.x[:, plane] - value).abs() * known).sum((1, 2)) / known.sum((1, 2))
        for plane in range(len(roles))
    ]


def test_most_patches_are_changed_little_and_some_much():
    for change in changed(("blue", "nir")):
        assert change.median() < 0.06
        assert change.quantile(0.95) > 0.15


def test_light_and_sensor_leave_slopes_alone():
    """The slope of a DEM has neither gain nor haze; noise alone is laid over it."""
    slope, thermal, elevation = changed(("slope", "tir1", "elevation"))
    assert slope.max() < 0.04
    assert thermal.quantile(0.95) > 0.05
    assert elevation.quantile(0.95) > 0.05


@pytest.mark.parametrize("chance", [0.5, 1.0])
def test_band_dropout_leaves_three_optical_planes_or_nir(chance):
    roles = STARTER.roles
    optional = [slot.role for slot in STARTER.inputs if not slot.required]
    lose = augmenter("flips", chance, roles, optional)
    optical = torch.tensor([role in OPTICAL for role in roles])
    nir = roles.index("nir")
    lost = 0
    for seed in range(40):
        present = (torch.rand(100, len(roles), generator=generator(seed)) < 0.8).float()
        present[:, nir] = 1
        batch = Batch(present[..., None, None].expand(-1, -1, 2, 2), present, torch.ones(100, 2, 2))
        found = lose(batch, generator(seed))
        left = found.present > 0
        assert (((left & optical).sum(1) >= 3) | left[:, nir]).all()
        # What is left also meets the card.
        for row in left:
            have = {role for role, there in zip(roles, row.tolist(), strict=True) if there}
            assert any(set(need) <= have for need in STARTER.minimum)
        assert torch.equal(found.x[..., 0, 0], found.present)
        lost += int((left.sum(1) < present.sum(1)).sum())
    # Nearly every patch whose turn it is loses one plane or more of about seven.
    assert 0.6 * chance < lost / 4000 <= chance + 0.03


def test_planes_that_are_required_are_never_lost():
    lose = augmenter("flips", 1.0, ("green", "red", "nir", "swir1"), ("swir1",))
    batch = Batch(torch.ones(500, 4, 2, 2), torch.ones(500, 4), torch.ones(500, 2, 2))
    found = lose(batch, generator())
    assert (found.present[:, :3] == 1).all()
    assert 0.2 < float((found.present[:, 3] == 0).float().mean()) < 0.6


def half_plane(side, at):
    """Ice left of a line: planes 1 and 0, and the label."""
    ice = (torch.arange(side) + 0.5 < at).expand(side, side)
    return ice[None].float(), ice.byte()


@pytest.mark.parametrize(("side", "wanted"), [(64, 32), (48, 32), (100, 64), (20, 32), (32, 64)])
def test_a_half_plane_stays_where_it_is(side, wanted):
    for at in (side // 4, side // 2, 7 * side // 10):
        values, label = resized(*half_plane(side, at), wanted)
        assert values.shape == (1, wanted, wanted)
        expected = at * wanted / side
        # Half a pixel of the coarser of the two.
        reach = 0.5 * max(1.0, wanted / side) + 1e-3
        found = float((label == ICE).float().sum(1).mean())
        assert abs(found - expected) <= reach
        crossing = float((values[0] > 0.5).float().sum(1).mean())
        assert abs(crossing - expected) <= reach
        assert abs(crossing - found) <= 2 * reach
        assert set(label.unique().tolist()) == {OTHER, ICE}


def test_what_lies_beside_a_gap_is_unknown_and_keeps_its_brightness():
    label = torch.ones(64, 64, dtype=torch.uint8)
    label[:, 30:] = INVALID
    values = torch.where(label == INVALID, 0.0, 0.7)[None]
    small, found = resized(values, label, 24)
    gap = found == INVALID
    assert (small[0][gap] == 0).all()
    # Zeros of the gap do not darken its neighbours.
    assert small[0][~gap].numpy() == pytest.approx(0.7, abs=1e-5)
    # 30 of 64 pixels is 11.25 of 24: the twelfth pixel is three quarters gap.
    assert found[0].tolist() == [ICE] * 11 + [INVALID] * 13
    assert set(found.unique().tolist()) <= {ICE, IGNORED, INVALID}


def test_a_pixel_that_is_mostly_valid_over_an_invalid_centre_is_ignored():
    label = torch.ones(9, 9, dtype=torch.uint8)
    label[4, 4] = INVALID
    values = (label != INVALID).float()[None]
    small, found = resized(values, label, 3)
    assert found.tolist() == [[1, 1, 1], [1, IGNORED, 1], [1, 1, 1]]
    assert small.numpy() == pytest.approx(1)


def test_a_window_of_the_size_of_a_patch_is_left_alone():
    values, label = half_plane(32, 10)
    found = resized(values, label, 32)
    assert found[0] is values
    assert found[1] is label


def test_the_defaults_turn_light_and_lose_bands():
    assert TrainOptions().augment == "full"
    assert np.isclose(TrainOptions().band_dropout, 0.5)
