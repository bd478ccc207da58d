import tomllib

import pytest

from glacierx.errors import OptionError
from glacierx.predict.card import Card
from glacierx.predict.modelfile import build_model, count_parameters
from glacierx.training import preset as presets_module
from glacierx.training.preset import FOLDER, load_preset, presets

PUBLISHED = {
    "chu2022", "fcn32s", "unet-resnet18", "deeplabv3plus", "mobile-unet", "res-unet", "r2u-net",
    "fc-densenet", "deeplabv3plus-xception", "glaciernet", "tian2022-cse", "glaciercovernet",
    "rajat2022", "diaconu2023", "hu2022",
}  # fmt: skip
MINE = """
[source]
paper = "mine"
ours = ["all of it"]

[model]
architecture = "deeplabv3plus"
required = ["green", "nir"]
optional = ["swir1"]
gsd_m = [10, 30]
patch_px = 256
tta = "d4"

[model.arguments]
depth = 18

[train]
lr = 0.01
optimiser = "sgd"
nesterov = true

[split]
split = "folds:3"

[predict]
keep = 0.5

[outline]
min_area_km2 = 0.1
"""


@pytest.fixture
def mine(tmp_path):
    def write(text=MINE, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_presets_are_known_by_name():
    assert set(presets()) == {*PUBLISHED, "starter"}
    with pytest.raises(OptionError, match=r"no preset 'nonsense'\. Known: chu2022, deep"):
        load_preset("nonsense")


@pytest.mark.parametrize("name", ["../presets/starter", "", ".", "starter.yaml"])
def test_what_is_neither_a_name_nor_toml_is_no_preset(name):
    with pytest.raises(OptionError, match="no preset"):
        load_preset(name)


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_where_it_comes_from_and_what_is_ours(name):
    source = tomllib.loads((FOLDER / f"{name}.toml").read_text())["source"]
    assert source["paper"]
    assert source["published"]
    assert source["data"]
    assert all(line.endswith(".") for line in source["ours"])
    assert len(source["ours"]) >= 2


def test_a_file_of_ones_own_is_a_preset(mine):
    preset = load_preset(mine())
    assert preset.name == preset.card.name == "mine"
    assert preset.card.roles == ("green", "nir", "swir1")
    assert [slot.required for slot in preset.card.inputs] == [True, True, False]
    assert preset.train_options().optimiser == "sgd"
    assert preset.split_options().folds == 3
    assert preset.card.defaults == {"predict": {"keep": 0.5}, "outline": {"min_area_km2": 0.1}}
    assert Card.from_json(preset.card.to_json(), "again") == preset.card
    assert preset.as_record()["source"]["ours"] == ["all of it"]


WRONG = {
    "key": ("patch_px = 256\ntta", "patchpx = 256\ntta", r"\[model\] holds patchpx"),
    "table": ("[source]", "[sauce]", "the file holds sauce, which no recipe has. Known: source"),
    "train": ("lr = 0.01", "rl = 0.01", r"\[train\] holds rl"),
    "range": ("lr = 0.01", "lr = 7", "--lr is 7. It takes a number from"),
    "kind": ("lr = 0.01", 'lr = "fast"', "--lr is 'fast'. It takes a number"),
    "role": ('["green", "nir"]', '["green", "Nir!"]', "asks for 'Nir!', which is no role"),
    "roles": ('["green", "nir"]', '"green"', r"\[model\] required takes a list of roles"),
    "default": ("keep = 0.5", "keep = 7", "its defaults: --keep is 7"),
    "flag": ("keep = 0.5", "stride = 64", r"\[predict\] holds stride"),
    "split": ('"folds:3"', '"folds:1"', "--split is 'folds:1'"),
    "toml": ("[source]", "[source", "it is not TOML in UTF-8"),
    "no table": ("[source]", "source = 3\n[model.x]", "source is no table"),
    "ours": ('["all of it"]', "3", r"\[source\] ours takes a list of texts"),
    "date": ("patch_px = 256\n", "patch_px = 2024-01-01\n", "neither number nor text"),
    "patch": ("patch_px = 256\n", "patch_px = 8\n", "its patch of 8 px is not within"),
    "architecture": ('architecture = "deeplabv3plus"', "", "names no architecture"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_is_one_line(mine, case):
    old, new, said = WRONG[case]
    assert old in MINE
    with pytest.raises(OptionError, match=said) as found:
        load_preset(mine(MINE.replace(old, new, 1)))
    assert "\n" not in str(found.value)
    assert "mine.toml cannot be used: " in str(found.value)


def test_a_file_that_is_large_or_missing_is_refused(mine, tmp_path):
    with pytest.raises(OptionError, match="more than 65536 bytes"):
        load_preset(mine(MINE + "#" * 2**16))
    with pytest.raises(OptionError, match="there is no such file"):
        load_preset(tmp_path / "none.toml")
    with pytest.raises(OptionError, match="there is no such file"):
        load_preset(tmp_path.with_suffix(".toml"))
    with pytest.raises(OptionError, match="it is not TOML in UTF-8"):
        load_preset(mine("a = " + "[" * 5000))


@pytest.mark.parametrize("name", presets())
def test_a_preset_gives_a_card_and_options_that_fit_each_other(name):
    preset = load_preset(name)
    options = preset.train_options()
    network = build_model(preset.card).network
    assert sum(weight.numel() for weight in network.parameters()) == count_parameters(preset.card)
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


def test_the_recipes_are_those_of_the_papers():
    diaconu = load_preset("diaconu2023")
    options = diaconu.train_options()
    assert (options.optimiser, options.lr, options.momentum, options.nesterov) == (
        "sgd", 0.01, 0.95, True,
    )  # fmt: skip
    assert (options.schedule, options.milestone_epochs, options.milestone_factor) == (
        "multistep", (10, 25), 0.1,
    )  # fmt: skip
    assert (options.epochs, options.batch, options.patch_px, options.loss) == (50, 16, 256, "bce")
    assert diaconu.split_options().by_area
    assert (diaconu.split_options().folds, diaconu.split_options().validation_share) == (5, 0.15)
    assert diaconu.card.defaults["outline"]["min_area_km2"] == 0.1
    assert diaconu.card.normalisation.kind == "z-score"
    chu = load_preset("chu2022").train_options()
    for baseline in ("fcn32s", "unet-resnet18", "deeplabv3plus"):
        # The paper compares under equal data.
        assert load_preset(baseline).train_options() == chu


def test_the_folder_of_presets_is_what_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(presets_module, "FOLDER", tmp_path)
    (tmp_path / "own.toml").write_text(MINE)
    assert presets() == ["own"]
    assert load_preset("own").card.architecture == "deeplabv3plus"
