import pytest

from glacierx.errors import OptionError
from glacierx.predict.modelfile import build_model
from glacierx.training.preset import load_preset, presets


def test_presets_are_known_by_name():
    assert presets() == ["chu2022", "starter"]
    with pytest.raises(OptionError, match=r"no preset 'nonsense'\. Known: chu2022, starter\."):
        load_preset("nonsense")


@pytest.mark.parametrize("name", ["../presets/starter", "starter.toml", "", "."])
def test_a_preset_is_no_path(name):
    with pytest.raises(OptionError, match="no preset"):
        load_preset(name)


@pytest.mark.parametrize("name", presets())
def test_a_preset_gives_a_card_and_options_that_fit_each_other(name):
    preset = load_preset(name)
    options = preset.train_options()
    network = build_model(preset.card).network
    assert options.patch_px % network.stride == 0
    assert preset.card.patch_px % network.stride == 0
    assert preset.card.name == name
    assert not preset.card.training
    assert not preset.card.scores


def test_chu2022_is_the_published_network():
    network = build_model(load_preset("chu2022").card).network
    assert sum(value.numel() for value in network.parameters()) == 25_670_628


def test_the_starter_takes_any_three_optical_bands_or_nir():
    from itertools import combinations

    card = load_preset("starter").card
    optical = ("blue", "green", "red", "swir1", "swir2")
    wanted = {frozenset(three) for three in combinations(optical, 3)} | {frozenset({"nir"})}
    assert {frozenset(roles) for roles in card.minimum} == wanted
    assert not any(slot.required for slot in card.inputs)


def test_what_is_given_wins():
    preset = load_preset("chu2022")
    options = preset.train_options(epochs=3, lr=5e-4)
    assert (options.epochs, options.lr, options.batch) == (3, 5e-4, 3)
    with pytest.raises(OptionError, match="--lr is 2"):
        preset.train_options(lr=2.0)
