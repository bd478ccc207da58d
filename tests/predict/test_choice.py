import warnings

import pytest
from factories import disc
from torch import nn

from glacierx.errors import GlacierxWarning, MissingBandError
from glacierx.predict.card import Card, Slot
from glacierx.predict.choice import choose_model
from glacierx.predict.modelfile import Model
from glacierx.scene.scene import open_scene

ICE = disc((64, 64), (32, 32), 20)


def model(roles=("green",), **more):
    slots = tuple(Slot(role) for role in roles)
    return Model(nn.Identity(), Card("test", "deeplabv3plus", slots, **more))


def test_auto_takes_ndsi_where_it_can_and_says_so(make_scene):
    two = ("green", "swir1")  # Too few for the model that ships.
    with open_scene(make_scene(ICE, roles=two)) as scene:
        with pytest.warns(GlacierxWarning, match="pixel method ndsi is used, which is no network"):
            assert choose_model("auto", scene).name == "ndsi"
    with open_scene(make_scene(ICE, roles=two, name="b.tif", scales=None)) as scene:
        with pytest.warns(GlacierxWarning, match="otsu is used.*units are unknown"):
            assert choose_model("auto", scene).name == "otsu"


def test_a_missing_role_is_found_before_a_pixel_is_read(make_scene, monkeypatch):
    with open_scene(make_scene(ICE, roles=("green", "nir"))) as scene:
        monkeypatch.setattr(scene, "read", lambda *a, **k: pytest.fail("a pixel was read"))
        with pytest.raises(MissingBandError, match="no 'swir1' band"):
            choose_model(model(roles=("green", "swir1")), scene)


def test_a_scene_outside_the_models_range_or_inside_its_training_is_told(make_scene):
    with open_scene(make_scene(ICE)) as scene:
        with pytest.warns(GlacierxWarning, match="GSD of 10 m and test was made for 20 to 40 m"):
            choose_model(model(gsd_m=(20, 40)), scene)
        here = {"footprints": [[10, 46, 11, 48]]}
        with pytest.warns(GlacierxWarning, match="was trained on ground that scene.tif shows"):
            choose_model(model(training=here), scene)
        # A neighbour, of which the upright box covers a fiftieth of the scene's, is no such ground.
        west, south, east, north = scene.bounds_lonlat()
        beside = {"footprints": [[west - 1, south, west + 0.02 * (east - west), north]]}
        with warnings.catch_warnings():
            warnings.simplefilter("error", GlacierxWarning)
            choose_model(model(training=beside), scene)
