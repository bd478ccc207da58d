"""Folds: every pixel is held out once, and nothing that is held out is learnt from."""

import numpy as np
import pytest
from factories import disc, disc_sample

from glacierx.errors import OptionError
from glacierx.training.options import SplitOptions
from glacierx.training.samples import ICE, IGNORED, Sample
from glacierx.training.split import split_sources


def scene(number, west=10.0, radius=20, **changes):
    """A disc of ice in a scene of 64 pixels that is 0.1 degrees wide."""
    about = {"footprint": [west, 46.0, west + 0.1, 46.1]}
    return disc_sample(number, side=64, radius=radius, about=about, **changes)


def folded(sources, text, fold, *, regions=None, seed=0, share=0.25, block_m=160.0):
    options = SplitOptions(split=text, fold=fold, validation_share=share, block_m=block_m)
    return split_sources(
        sources, options, seed=seed, said=False,
        regions=regions or [None] * len(sources), patch_px=32,
    )  # fmt: skip


def names(found, part):
    return {source.name for source in found if source.part == part}


def known(found, part, shape=(64, 64)):
    """Count how often each pixel's label is known in a part."""
    parts = [source.read(0, 0, *shape)[1] for source in found if source.part == part]
    return sum((label <= ICE for label in parts), np.zeros(shape, int))


def test_scenes_are_held_out_once_each_and_shared_evenly():
    sources = [scene(number, west=10 + number) for number in range(6)]
    held = [names(folded(sources, "folds:3", fold), "test") for fold in (1, 2, 3)]
    assert [len(part) for part in held] == [2, 2, 2]
    assert set().union(*held) == {source.name for source in sources}
    for fold in (1, 2, 3):
        found = folded(sources, "folds:3", fold)
        parts = [names(found, part) for part in ("test", "validation", "train")]
        assert sum(map(len, parts)) == 6
        assert len(parts[1]) == 1  # a quarter of the four that are left


def test_folds_have_about_the_same_ice():
    # 4 + 1, 3 + 2 of the area: no other pairs are as even.
    radii = [10 * np.sqrt(area) for area in (1, 2, 3, 4)]
    sources = [scene(at, west=10 + at, radius=radius) for at, radius in enumerate(radii)]
    ice = {source.name: (source.label == ICE).sum() for source in sources}
    held = names(folded(sources, "folds:2", 1), "test")
    share = sum(ice[name] for name in held) / sum(ice.values())
    # The order of dealing has chance in it; the worst is 4 + 3 against 2 + 1.
    assert 0.3 <= share <= 0.7


def test_regions_and_scenes_of_one_place_stay_together():
    sources = [scene(number, west=10 + number) for number in range(6)]
    regions = ["a", "a", "b", "b", "c", "c"]
    for fold in (1, 2, 3):
        held = names(folded(sources, "folds:3", fold, regions=regions), "test")
        numbers = sorted(at for at, source in enumerate(sources) if source.name in held)
        assert numbers in ([0, 1], [2, 3], [4, 5])
    twice = [scene(0), scene(1), scene(2, west=12), scene(3, west=13)]
    held = [names(folded(twice, "folds:3", fold), "test") for fold in (1, 2, 3)]
    assert {twice[0].name, twice[1].name} in held


def test_the_folds_do_not_hang_on_which_is_held_out_but_on_the_seed():
    sources = [scene(number, west=10 + number) for number in range(6)]
    first = names(folded(sources, "folds:3", 1), "test")
    assert first == names(folded(sources, "folds:3", 1), "test")
    others = {frozenset(names(folded(sources, "folds:3", 1, seed=s), "test")) for s in range(8)}
    assert len(others) > 1


def test_blocks_of_one_scene_are_held_out_once_each():
    label = np.ones((128, 128), np.uint8)
    label[:, ::3] = 0
    source = Sample("m", ("green",), np.zeros((1, 128, 128), np.float16), label, 10.0)
    total = np.zeros((128, 128), int)
    for fold in (1, 2, 3, 4):
        found = folded([source], "folds:4", fold)
        own = [known(found, part, (128, 128)) for part in ("test", "validation", "train")]
        assert np.array_equal(sum(own), np.ones((128, 128), int))
        assert own[0].sum() == pytest.approx(128 * 128 / 4, rel=0.2)
        assert own[1].any()
        total += own[0]
    assert np.array_equal(total, np.ones((128, 128), int))


def striped(west, columns, gsd_m=100.0):
    """A scene of 128 rows and 0.001 degrees a pixel, with ice in two of three columns."""
    label = np.ones((128, columns), np.uint8)
    label[:, ::3] = 0
    about = {"footprint": [west, 46.0, west + 0.001 * columns, 46.128]}
    values = np.zeros((1, *label.shape), np.float16)
    return Sample(f"at{west}", ("green",), values, label, gsd_m, about=about)


def shows(part, scene):
    return part.whole is scene or getattr(part.whole, "whole", None) is scene


@pytest.mark.parametrize("how", ["folds:3", "block"])
def test_ground_that_two_scenes_show_is_in_one_part(how):
    # The second begins 32 columns, two cells of 16, east of the first.
    scenes = [striped(10.0, 160), striped(10.032, 128)]
    wide = (128, 160)
    for fold in (1, 2, 3):
        found = folded(scenes, how, fold if how == "folds:3" else 1, block_m=3000.0)
        for part in ("test", "validation", "train"):
            ours, theirs = (
                known([one for one in found if shows(one, scene)], part, shape)
                for scene, shape in zip(scenes, (wide, (128, 128)), strict=True)
            )
            assert np.array_equal(ours[:, 32:], theirs)
            assert ours.any() or (how, part) == ("block", "test")


def test_what_the_manifest_keeps_for_a_test_is_in_no_fold():
    sources = [scene(number, west=10 + number) for number in range(4)]
    sources.append(scene(9, west=20, part="test"))
    found = folded(sources, "folds:2", 1)
    assert sources[-1].name not in {source.name for source in found}


def strip(centres, west=10.0, radius=6, shape=(64, 256)):
    """A scene 0.4 degrees wide with discs of ice at columns *centres*."""
    ice = np.zeros(shape, bool)
    for column in centres:
        ice |= disc(shape, (32, column), radius)
    about = {"footprint": [west, 46.0, west + 0.4, 46.1]}
    values = np.zeros((1, *shape), np.float16)
    return Sample("strip", ("green",), values, ice.astype(np.uint8), 10.0, about=about)


def test_glaciers_are_cut_by_area_from_west_to_east():
    # Four glaciers of one size, two folds: the two in the west, and the two in the east.
    source = strip((32, 96, 160, 224))
    for fold, west in ((1, True), (2, False)):
        held = known(folded([source], "folds-area:2", fold), "test", (64, 256)) > 0
        # Ground goes with the nearest glacier: the middle between 96 and 160, to a cell of 16.
        assert held[:, :112].all() == west
        assert held[:, 144:].all() == (not west)
        assert held[:, :112].any() == west
        assert held[:, 144:].any() == (not west)


def test_area_counts_not_number():
    # One glacier with the area of four others: with two folds it is one of them alone.
    shape = (64, 256)
    ice = disc(shape, (32, 40), 24)
    for column in (120, 152, 184, 216):
        ice |= disc(shape, (32, column), 12)
    whole = strip(())
    source = Sample("s", ("green",), whole.values, ice.astype("u1"), 10.0, about=whole.about)
    held = known(folded([source], "folds-area:2", 1), "test", shape) > 0
    assert held[:, 16:64].all()
    assert not held[:, 112:].any()


def test_a_glacier_that_two_scenes_show_is_in_one_fold():
    first = strip((32, 96, 160, 224))
    second = strip((33, 95, 161, 224))
    for fold in (1, 2, 3, 4):
        found = folded([first, second], "folds-area:4", fold)
        one, other = (
            known([part for part in found if part.whole is source], "test", (64, 256))
            for source in (first, second)
        )
        assert np.array_equal(one, other)
        assert one.any()


def test_validation_of_areas_is_whole_glaciers_and_about_its_share():
    source = strip(range(24, 256, 40))
    found = folded([source], "folds-area:3", 2, share=0.3)
    parts = {part: known(found, part, (64, 256)) for part in ("test", "validation", "train")}
    assert np.array_equal(sum(parts.values()), np.ones((64, 256), int))
    ice = source.label == ICE
    sizes = {part: int((ice & (there > 0)).sum()) for part, there in parts.items()}
    one = int(ice.sum()) / 6
    # Two of six are held out; 30 % of four glaciers is reached by two.
    assert sizes["test"] == pytest.approx(2 * one)
    assert sizes["validation"] == pytest.approx(2 * one)


TOO_LITTLE = {
    "made": ("folds-area:2", "needs to know where scenes lie"),
    "one glacier": ("folds-area:5", "Glaciers that touch stay in one fold"),
    "blocks": ("folds:40", "has not 40 blocks with ice"),
}


@pytest.mark.parametrize("case", TOO_LITTLE)
def test_too_little_for_so_many_folds_is_said(case):
    how, said = TOO_LITTLE[case]
    source = disc_sample(0) if case == "made" else scene(0)
    with pytest.raises(OptionError, match=said):
        folded([source], how, 1)


@pytest.mark.parametrize("text", ["folds", "folds:1", "folds:101", "folds:x", "nonsense", "area:5"])
def test_what_is_no_split_is_refused(text):
    with pytest.raises(OptionError, match="--split is"):
        SplitOptions(split=text)


def test_a_fold_beyond_the_last_is_refused():
    with pytest.raises(OptionError, match="--fold 4 is not one of the 3"):
        SplitOptions(split="folds:3", fold=4)


def test_unknown_labels_stay_unknown():
    source = scene(0)
    source.label[3, 4] = IGNORED
    found = folded([source], "folds:2", 1)
    assert not known(found, "test")[3, 4]
    assert not known(found, "train")[3, 4]
