from collections import Counter

import numpy as np
import pytest
from factories import disc, disc_sample

from glacierx.errors import OptionError, OutlineError
from glacierx.training.draw import CELL_PX, Draw, Sampler, survey
from glacierx.training.options import TrainOptions
from glacierx.training.samples import ICE, IGNORED, INVALID, Sample


def labelled(label, **changes):
    label = np.asarray(label, np.uint8)
    values = np.zeros((1, *label.shape), np.float16)
    return Sample("made", ("green",), values, label, 10.0, **changes)


def options(**changes):
    return TrainOptions(**{"patch_px": 64, "scale_low": 1.0, "scale_high": 1.0, **changes})


def draws(sampler, count=300, seed=0):
    random = np.random.default_rng(seed)
    return [sampler.draw(random) for _ in range(count)]


def counted(source, draw):
    """Ice and known pixels of the cells that a window touches, without a table."""
    top, left = (max(0, at // CELL_PX * CELL_PX) for at in (draw.top, draw.left))
    bottom, right = (-(-(at + draw.side) // CELL_PX) * CELL_PX for at in (draw.top, draw.left))
    part = source.label[top:bottom, left:right]
    return int((part == ICE).sum()), int((part <= ICE).sum())


def test_a_survey_counts_as_a_loop_does():
    random = np.random.default_rng(1)
    label = random.choice([0, 1, INVALID, IGNORED], (700, 77), p=[0.4, 0.3, 0.2, 0.1])
    source = labelled(label)
    found = survey(source)
    assert found.pixels == (int((label == ICE).sum()), int((label <= ICE).sum()))
    for _ in range(300):
        # Any window that meets the scene, as one larger than it does on all sides.
        side = int(random.integers(1, 200))
        draw = Draw(
            0, int(random.integers(1 - side, 700)), int(random.integers(1 - side, 77)), side
        )
        assert found.within(draw.top, draw.left, side) == counted(source, draw), draw


def test_the_same_seed_draws_the_same_windows():
    sampler = Sampler([disc_sample(0, side=200, radius=60), disc_sample(1)], options())
    assert draws(sampler) == draws(sampler)
    assert draws(sampler) != draws(sampler, seed=1)


def test_the_share_of_ice_is_within_its_limits():
    # A disc of 60 px in 400 x 400: a window of 64 px is often wholly within or without.
    source = labelled(disc((400, 400), (200, 200), 60))
    limits = {"share_low": 0.2, "share_high": 0.8, "background": 0.0}
    shares = []
    for draw in draws(Sampler([source], options(**limits))):
        ice, known = counted(source, draw)
        shares.append(ice / known)
    # All but those that 40 tries did not find; a window at random fits in one of nine.
    assert np.mean([0.2 <= share <= 0.8 for share in shares]) > 0.98


def test_as_many_windows_without_ice_as_asked():
    source = labelled(disc((400, 400), (200, 200), 60))
    asked = options(background=0.3, share_low=0.05, share_high=1.0)
    bare = [counted(source, draw)[0] == 0 for draw in draws(Sampler([source], asked), 1000)]
    # The standard deviation of a share of 0.3 in 1000 is 0.0145.
    assert np.mean(bare) == pytest.approx(0.3, abs=0.05)


def test_windows_lie_within_a_scene_that_is_large_enough():
    source = labelled(disc((150, 300), (75, 150), 40))
    for draw in draws(Sampler([source], options(scale_low=0.5, scale_high=2.0))):
        assert 32 <= draw.side <= 128
        assert 0 <= draw.top <= 150 - draw.side
        assert 0 <= draw.left <= 300 - draw.side


def test_scales_are_even_on_a_logarithm():
    source = labelled(disc((300, 300), (150, 150), 90))
    sides = [d.side for d in draws(Sampler([source], options(scale_low=0.5, scale_high=2.0)), 2000)]
    # As many shrink as stretch: half of them on either side of the patch itself.
    assert np.mean(np.array(sides) < 64) == pytest.approx(0.5, abs=0.04)


def test_a_window_larger_than_the_scene_holds_all_of_its_shorter_side():
    source = labelled(disc((40, 100), (20, 50), 15))
    for draw in draws(Sampler([source], options(patch_px=256))):
        assert draw.side == 100
        assert draw.left == 0
        assert 40 - 100 <= draw.top <= 0
        values, label = source.read(draw.top, draw.left, draw.side, draw.side)
        assert label.shape == (100, 100)
        assert (label <= ICE).sum() == 40 * 100
        assert values.shape == (1, 100, 100)


def test_sources_are_drawn_by_known_pixels_times_weight():
    small, large = disc((64, 64), (32, 32), 20), disc((128, 128), (64, 64), 40)
    half = np.where(np.arange(128)[:, None] < 64, large, IGNORED)
    sources = [
        labelled(small, weight=1.0),  # 4096 known
        labelled(half, weight=1.0),  # 8192 known
        labelled(small, weight=2.0),  # 4096 known, twice
        labelled(small, weight=0.0),
    ]
    found = Counter(draw.source for draw in draws(Sampler(sources, options(patch_px=32)), 4000))
    assert [found[n] / 4000 for n in range(4)] == pytest.approx([0.2, 0.4, 0.4, 0], abs=0.03)


def test_a_window_of_what_is_known_is_preferred():
    # Only a corner is known, with a margin in it.
    label = np.full((512, 512), IGNORED, np.uint8)
    label[:64, :64] = disc((64, 64), (0, 0), 40)
    asked = options(background=0.0)
    known = [counted(labelled(label), d)[1] for d in draws(Sampler([labelled(label)], asked), 200)]
    # A window at random touches the corner in 3 of 100 draws.
    assert np.mean(np.array(known) > 0) > 0.5


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (np.zeros((64, 64)), "show no ice"),
        (np.ones((64, 64)), "show nothing but ice"),
        (np.full((64, 64), IGNORED), "show nothing that is known"),
        (np.full((64, 64), INVALID), "show nothing that is known"),
    ],
)
def test_labels_that_teach_nothing_are_refused(label, said):
    with pytest.raises(OutlineError, match=f"of the 1 training scenes {said}.*check the outlines"):
        Sampler([labelled(label)], options())
    # Beside a scene that has both they are fine.
    Sampler([labelled(label), disc_sample()], options())


def test_weights_of_nothing_are_refused():
    with pytest.raises(OptionError, match="weight 0"):
        Sampler([disc_sample(weight=0.0)], options())


@pytest.mark.parametrize("name", ["share", "scale"])
def test_limits_in_the_wrong_order_are_refused(name):
    with pytest.raises(OptionError, match=f"--{name}-low is above --{name}-high"):
        TrainOptions(**{f"{name}_low": 0.9, f"{name}_high": 0.4})
