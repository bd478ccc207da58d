import pytest
import torch
from factories import disc, tiny_card

from glacierx.errors import MissingBandError, ModelError
from glacierx.predict.classic import PixelMethod
from glacierx.predict.model import check_file, find_model, load_model, save_model, shipped_models
from glacierx.predict.modelfile import Model, build_model
from glacierx.scene.scene import open_scene


@pytest.fixture
def model_file(tmp_path):
    return save_model(build_model(tiny_card()), tmp_path / "tiny.safetensors")


def test_networks_and_fitted_methods_go_through_the_same_doors(tmp_path, model_file):
    fitted = PixelMethod("sbtm", ("nir",), {"nir": 0.3}, training={"scenes": ["made"]})
    path = save_model(fitted, tmp_path / "sbtm.safetensors")
    assert load_model(path).thresholds == {"nir": 0.3}
    network = load_model(model_file)
    assert isinstance(network, Model)
    assert len(network.sha256) == len(load_model(path).sha256) == 64
    for model in (fitted, network):
        with pytest.raises(ModelError, match=r"give it the ending \.safetensors"):
            save_model(model, tmp_path / "model.pt")


def test_a_file_is_checked_before_its_weights_are_read(make_scene, model_file, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *a: pytest.fail("weights read"))
    ice = disc((64, 64), (32, 32), 20)
    with open_scene(make_scene(ice, roles=("green", "nir"))) as scene:
        check_file(model_file, scene)
    with open_scene(make_scene(ice, roles=("green",), name="b.tif")) as scene:
        with pytest.raises(MissingBandError, match="no 'nir' band"):
            check_file(model_file, scene)


def test_names_of_models_that_ship_are_found():
    for name in shipped_models():
        assert find_model(name).exists()
    with pytest.raises(ModelError, match="no model of that name"):
        find_model("nonsense")
    with pytest.raises(ModelError, match=r"no model file .*gone.* \(ndsi, otsu"):
        load_model("folder/gone.safetensors")


def test_a_folder_of_a_models_name_hides_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in shipped_models():
        (tmp_path / name).mkdir()
        assert find_model(name).is_file()
