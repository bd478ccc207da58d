"""Training and networks run where no geodata library is installed."""

import subprocess
import sys

MODULES = (
    "glacierx.errors",
    "glacierx.options",
    "glacierx.networks",
    "glacierx.networks.layers",
    "glacierx.networks.deeplabv3plus",
    "glacierx.networks.encoders.resnet",
    "glacierx.networks.reach",
    "glacierx.networks.unet",
    "glacierx.predict.card",
    "glacierx.predict.modelfile",
    "glacierx.predict.normalise",
    "glacierx.predict.tta",
    "glacierx.scene.asked",
    "glacierx.scene.sensors",
    "glacierx.scene.staging",
    "glacierx.training.train",
    "glacierx.training.__main__",
)

BLOCKED = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        blocked = {"rasterio", "fiona", "shapely", "pyproj", "click", "tqdm", "affine"}
        return None if name.split(".")[0] in blocked else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run_bare(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_block_blocks():
    found = run_bare("import glacierx.scene.raster")
    assert found.returncode == 1
    assert "No module named 'rasterio'" in found.stderr


def test_modules_of_training_import_bare():
    found = run_bare("\n".join(f"import {name}" for name in MODULES))
    assert found.returncode == 0, found.stderr


def test_a_network_is_built_scaled_for_saved_and_loaded_bare(tmp_path):
    code = """
import numpy as np
import torch
from glacierx.networks.layers import Inputs
from glacierx.predict.card import Card, Slot
from glacierx.predict.modelfile import build_model, load_network, save_network
from glacierx.predict.normalise import Normalisation, Normaliser
from glacierx.scene.sensors import SENSORS

small = {"depth": 18, "widths": [4, 4, 4, 4, 16], "pyramid_width": 4, "low_width": 2}
roles = [band.role for band in SENSORS["planetscope-4"].bands]
card = Card("bare", "attention_deeplabv3plus", tuple(Slot(role) for role in roles), small)
model = build_model(card)
scale = Normaliser(np.zeros(4, np.float32), np.full(4, 2, np.float32), bounded=True)
planes = scale(np.ones((4, 64, 64), np.float32), np.ones((64, 64), bool))
assert (planes == 0.5).all()
x = Inputs(torch.from_numpy(planes)[None])
for half in (False, True):
    save_network(model, sys.argv[1], overwrite=half, half=half)
    back = load_network(sys.argv[1])
    assert back.card == card
    with torch.inference_mode():
        assert torch.allclose(back.network(x).mask, model.network(x).mask, atol=0.1 * half)
try:
    save_network(model, sys.argv[1])
except OSError as error:
    print(error)
"""
    found = run_bare(code, str(tmp_path / "bare.safetensors"))
    assert found.returncode == 0, found.stderr
    assert "exists already" in found.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["bare.safetensors"]
