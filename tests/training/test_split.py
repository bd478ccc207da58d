import warnings

import numpy as np
import pytest
from factories import disc, disc_sample

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.training.options import SplitOptions
from glacierx.training.samples import ICE, IGNORED, INVALID, Sample
from glacierx.training.share import split_blocks
from glacierx.training.split import split_sources


def split(sources, how="auto", *, regions=None, said=False, seed=0, **changes):
    return split_sources(
        sources,
        SplitOptions(split=how, **changes),
        seed=seed,
        said=said,
        regions=regions or [None] * len(sources),
        patch_px=32,
    )


def scene(number, part="train", box=None, **changes):
    about = {} if box is None else {"footprint": list(box)}
    return disc_sample(number, part, side=64, radius=20, about=about, **changes)


def names(found, part):
    return {source.name for source in found if source.part == part}


def labels(found):
    return [source.read(0, 0, *source.shape)[1] for source in found]


def blocks_of(label, block_px=16, share=0.25, seed=0, **more):
    source = Sample("m", ("green",), np.zeros((1, *label.shape), np.float16), label, 10.0)
    shares = {"validation": share, **more}
    return split_blocks(source, block_px, shares, np.random.default_rng(seed)), source


@pytest.mark.parametrize("shape", [(160, 160), (130, 75), (500, 33)])
def test_blocks_cover_a_scene_and_no_label_is_in_two_parts(shape):
    label = np.ones(shape, np.uint8)
    label[:, ::3] = 0
    label[5, 5], label[6, 6] = INVALID, IGNORED
    found, source = blocks_of(label)
    assert [part.part for part in found] == ["train", "validation"]
    known = np.stack([one <= ICE for one in labels(found)])
    assert known.sum(0).max() == 1
    assert np.array_equal(known.any(0), label <= ICE)
    for part in labels(found):
        assert np.array_equal(part[part <= ICE], label[part <= ICE])
        assert part[5, 5] == INVALID
        assert part[6, 6] == IGNORED
    # The planes are those of the whole scene: a network may see what it may not learn.
    assert np.array_equal(found[0].read(3, 4, 9, 9)[0], source.read(3, 4, 9, 9)[0])


def test_a_window_of_a_part_is_that_part_of_it():
    found, _ = blocks_of(disc((100, 90), (50, 45), 40).astype(np.uint8))
    for part in found:
        whole = part.read(0, 0, 100, 90)[1]
        assert np.array_equal(part.read(17, 31, 40, 40)[1], whole[17:57, 31:71])
        beyond = part.read(-20, 60, 60, 60)[1]
        assert np.array_equal(beyond[20:, :30], whole[:40, 60:])
        assert (beyond[:20] == INVALID).all()
        assert (beyond[:, 30:] == INVALID).all()


def test_the_share_is_of_blocks_with_ice_and_of_the_others():
    label = np.zeros((160, 160), np.uint8)
    label[:, :80] = 1
    found, _ = blocks_of(label, share=0.2)
    held = found[1].blocks
    # 50 blocks are ice and 50 are not: 10 of each.
    assert held[:, :5].sum() == held[:, 5:].sum() == 10
    again, _ = blocks_of(label, share=0.2)
    assert np.array_equal(again[1].blocks, held)
    other, _ = blocks_of(label, share=0.2, seed=1)
    assert not np.array_equal(other[1].blocks, held)


@pytest.mark.parametrize("filled", [2, 3, 4, 9])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_every_part_has_ice(filled, share):
    label = np.zeros((48, 48), np.uint8)
    for at in range(filled):
        label[16 * (at // 3) + 3, 16 * (at % 3) + 5] = 1
    found, _ = blocks_of(label, share=share)
    assert [int((one == ICE).sum() > 0) for one in labels(found)] == [1, 1]
    known = np.stack([one <= ICE for one in labels(found)])
    assert (known.sum(0) == 1).all()


def test_three_parts_have_ice_each():
    label = np.zeros((64, 64), np.uint8)
    label[20:30, 3:60] = 1
    found, _ = blocks_of(label, share=0.9, test=0.9)
    assert [part.part for part in found] == ["train", "validation", "test"]
    assert all((one == ICE).any() for one in labels(found))


def test_blocks_become_smaller_until_there_are_enough():
    label = np.zeros((256, 256), np.uint8)
    label[100:160, 100:160] = 1
    found, _ = blocks_of(label, block_px=512)
    assert found[0].block_px == 128
    assert all((one == ICE).any() for one in labels(found))


def test_scenes_are_whole_in_one_part_and_the_same_seed_chooses_the_same():
    sources = [scene(n) for n in range(10)]
    found = split(sources, "scene")
    assert len(names(found, "validation")) == 2
    assert names(found, "train") | names(found, "validation") == {s.name for s in sources}
    for before, after in zip(sources, found, strict=True):
        assert np.array_equal(after.read(0, 0, 64, 64)[1], before.label)
        assert after.about == before.about
    assert names(split(sources, "scene"), "validation") == names(found, "validation")
    chosen = {frozenset(names(split(sources, "scene", seed=s), "validation")) for s in range(8)}
    assert len(chosen) > 2


@pytest.mark.parametrize("seed", range(6))
def test_scenes_of_one_place_stay_together(seed):
    here, there = (10.0, 46.0, 10.5, 46.5), (12.0, 46.0, 12.5, 46.5)
    # One that lies over half of the first place, and a neighbour that shares a seam with it.
    shifted, neighbour = (10.2, 46.1, 10.7, 46.6), (10.68, 46.1, 11.2, 46.6)
    boxes = [here, there, here, shifted, neighbour, here, there]
    found = split([scene(n, box=box) for n, box in enumerate(boxes)], "scene", seed=seed)
    parts = [source.part for source in found]
    assert len({parts[n] for n in (0, 2, 3, 5)}) == 1
    assert parts[1] == parts[6]
    assert set(parts) == {"train", "validation"}
    assert sum(len({parts[n] for n in group}) for group in ((0,), (1,), (4,))) == 3


def test_scenes_of_one_place_only_cannot_be_split_by_scene():
    sources = [scene(n, box=(10.0, 46.0, 10.5, 46.5)) for n in range(3)]
    with pytest.raises(OptionError, match=r"There is one scene, .* Use --split block"):
        split(sources, "scene")


def test_a_region_is_on_one_side():
    regions = ["alps", "alps", "andes", "pamir", "pamir", "tibet"]
    found = split([scene(n) for n in range(6)], "region", regions=regions, validation_share=0.5)
    parts = [source.part for source in found]
    assert parts[0] == parts[1]
    assert parts[3] == parts[4]
    assert set(parts) == {"train", "validation"}
    with pytest.raises(OptionError, match="needs the column region filled in every line"):
        split([scene(0), scene(1)], "region", regions=["alps", None])
    with pytest.raises(OptionError, match="There is one region"):
        split([scene(0), scene(1)], "region", regions=["alps", "alps"])
    with pytest.raises(OptionError, match="leaves nothing to learn from"):
        split([scene(0), scene(1)], "region", regions=["a", "b"], validation_share=0.9)


def test_auto_is_the_manifest_then_regions_then_scenes_then_blocks():
    said = [scene(0, "validation"), scene(1), scene(2)]
    assert split(said, said=True) == said
    three = [scene(n) for n in range(3)]
    regions = split(three, regions=["a", "a", "b"])
    assert regions[0].part == regions[1].part != regions[2].part
    # Regions of which one is empty, or that are all one, are no regions.
    for given in (["a", None, "b"], ["a", "a", "a"]):
        assert {len(s.read(0, 0, 1, 1)) for s in split(three, regions=given)} == {2}
        assert len(split(three, regions=given)) == 3
    assert len(split(three)) == 3
    two = split(three[:2])
    assert [source.part for source in two] == ["train", "validation"] * 2


def test_the_manifest_must_say_if_it_is_to_say():
    with pytest.raises(OptionError, match="needs the column split"):
        split([scene(0)], "manifest")


@pytest.mark.parametrize("how", ["scene", "block", "random-patches", "region"])
def test_a_scene_that_is_kept_for_a_test_is_never_learnt_from(how):
    sources = [scene(0), scene(1, "test"), scene(2), scene(3, "validation")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierxWarning)
        found = split(sources, how, said=True, regions=["a", "b", "c", "d"])
    assert names(found, "test") == {"made/test1"}
    assert "made/test1" not in names(found, "train") | names(found, "validation")


def test_patches_at_random_are_warned_of():
    with pytest.warns(GlacierxWarning, match="lie beside each other: scores .* are too high"):
        found = split([scene(0)], "random-patches")
    assert found[0].block_px == 32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split([scene(0)], "block")


def test_a_scene_with_too_little_ice_is_for_training_where_another_can_be_split():
    bare = Sample("bare", ("green",), np.zeros((1, 64, 64), np.float16),
                  np.zeros((64, 64), np.uint8), 10.0)  # fmt: skip
    found = split([bare, scene(1)], "block")
    assert [(s.name, s.part) for s in found if s.name == "bare"] == [("bare", "train")]
    assert names(found, "validation") == {"made/train1"}
    with pytest.raises(OptionError, match="bare: too little ice to keep a part of it back"):
        split([bare], "block")


def test_a_block_is_as_wide_as_asked_in_metres():
    found = split([disc_sample(side=320, radius=150)], "block", block_m=800.0)
    assert found[0].block_px == 80


def test_parts_hold_their_share_of_the_ice_and_not_of_the_blocks():
    """One block of a scene holds most of its ice; a part of crumbs would tell nothing."""
    random = np.random.default_rng(5)
    label = np.zeros((320, 320), np.uint8)
    for row in range(10):
        for column in range(10):
            side = int(random.integers(2, 32))
            label[32 * row : 32 * row + side, 32 * column : 32 * column + side] = ICE
    scene = Sample("s", ("nir",), np.zeros((1, 320, 320), np.float16), label, 10.0)
    seen = set()
    for seed in range(10):
        shares = {"validation": 0.15, "test": 0.15}
        parts = split_blocks(scene, 32, shares, np.random.default_rng(seed))
        ice = {
            part.part: int((part.read(0, 0, 320, 320)[1] == ICE).sum()) / (label == ICE).sum()
            for part in parts
        }
        assert ice["validation"] == pytest.approx(0.15, abs=0.02)
        assert ice["test"] == pytest.approx(0.15, abs=0.02)
        assert ice["train"] == pytest.approx(0.7, abs=0.02)
        seen.add(tuple(map(tuple, parts[1].about["blocks"])))
    assert len(seen) == 10
