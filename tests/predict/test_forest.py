from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from glacierx.errors import ModelError
from glacierx.predict import forest as module
from glacierx.predict.forest import LEAF, Forest, check_forest, flatten


@pytest.fixture(scope="module")
def grown():
    random = np.random.default_rng(0)
    pixels = random.normal(size=(3000, 4)).astype(np.float32)
    label = (pixels[:, 0] + pixels[:, 1] ** 2 + random.normal(size=3000) > 1).astype(int)
    theirs = RandomForestClassifier(
        30, min_samples_leaf=2, class_weight="balanced_subsample", random_state=0
    ).fit(pixels, label)
    trees = [tree.tree_ for tree in theirs.estimators_]
    return theirs, flatten(trees, ("blue", "green", "red", "nir")), pixels


def test_it_gives_what_scikit_learn_gives(grown, monkeypatch):
    theirs, ours, seen = grown
    unseen = np.random.default_rng(1).normal(size=(5000, 4)).astype(np.float32)
    for pixels in (seen, unseen):
        expected = theirs.predict_proba(pixels)[:, 1]
        assert np.abs(ours.probability(pixels.T) - expected).max() < 1e-6
    monkeypatch.setattr(module, "CHUNK_PX", 37)
    assert np.abs(ours.probability(pixels.T) - expected).max() < 1e-6


def test_pixels_on_a_threshold_go_left_as_in_scikit_learn(grown):
    # Thresholds are halfway between float32 values, and may lie between two of them.
    theirs, ours, _ = grown
    tree = theirs.estimators_[0].tree_
    limits = tree.threshold[tree.children_left >= 0]
    edge = np.repeat(limits.astype(np.float32)[:, None], 4, axis=1)
    for pixels in (edge, np.nextafter(edge, np.float32(9)), np.nextafter(edge, np.float32(-9))):
        expected = theirs.predict_proba(pixels)[:, 1]
        assert np.abs(ours.probability(pixels.T) - expected).max() < 1e-6


def test_the_shape_of_the_pixels_is_kept(grown):
    _, ours, seen = grown
    image = seen[:600].T.reshape(4, 20, 30)
    assert ours.probability(image).shape == (20, 30)
    assert ours.probability(image).dtype == np.float32
    assert ours.probability(np.zeros((4, 0, 7), np.float32)).shape == (0, 7)


def stump(**changes):
    """Red at most 0.5: a tenth is ice; beyond: nine tenths. And a tree that is one leaf: half."""
    forest = Forest(
        ("red",),
        np.array([0, 3]),
        np.array([0, LEAF, LEAF, LEAF], np.int16),
        np.array([2, 0, 0, 0], np.int32),
        np.array([0.5, 0.1, 0.9, 0.5], np.float32),
    )
    return replace(forest, **changes)


def test_two_small_trees_worked_out_by_hand():
    found = stump().probability(np.float32([[0.2, 0.5, 0.500001, 3]]))
    assert found.tolist() == pytest.approx([0.3, 0.3, 0.7, 0.7])
    check_forest(stump(), "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"right": np.array([0, 0, 0, 0], np.int32)}, "a child does not follow its parent"),
        ({"right": np.array([1, 0, 0, 0], np.int32)}, "a child does not follow its parent"),
        ({"right": np.array([3, 0, 0, 0], np.int32)}, "a child does not follow its parent"),
        ({"right": np.array([-7, 0, 0, 0], np.int32)}, "a child does not follow its parent"),
        ({"right": np.array([2**31 - 1, 0, 0, 0], np.int32)}, "a child does not follow"),
        ({"feature": np.array([1, -1, -1, -1], np.int16)}, "feature that there is not"),
        ({"feature": np.array([0, -1, -2, -1], np.int16)}, "child|feature"),
        ({"feature": np.array([0, -1, -1, 0], np.int16)}, "a child does not follow"),
        ({"number": np.array([0.5, 0.1, np.nan, 0.5], np.float32)}, "not finite"),
        ({"number": np.array([np.inf, 0.1, 0.9, 0.5], np.float32)}, "not finite"),
        ({"number": np.array([0.5, 0.1, 1.5, 0.5], np.float32)}, "a leaf is no probability"),
        ({"number": np.array([0.5, 0.1, 0.9], np.float32)}, "not of one length"),
        ({"starts": np.array([0, 9])}, "do not follow one another"),
        ({"starts": np.array([1, 3])}, "do not follow one another"),
        ({"starts": np.array([0, 3, 3])}, "do not follow one another"),
        ({"starts": np.array([], np.int64)}, "do not follow one another"),
        ({"starts": np.array([0, -1])}, "do not follow one another"),
        ({"features": ()}, "feature that there is not"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        check_forest(stump(**changes), "x")
