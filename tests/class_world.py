"""A made place with three classes: a disc of ice, a tongue of debris below it, other ground."""

import numpy as np
from factories import disc, utm_grid, write_tif
from torch import nn

from glacierx.networks.layers import Output
from glacierx.predict.card import Card, Slot
from glacierx.predict.modelfile import Model, save_network
from glacierx.predict.normalise import Normalisation

NAMES = ("background", "debris", "ice")
ROLES = ("green", "nir", "swir1")
SHAPE = (120, 120)
GRID = utm_grid(SHAPE)


def kinds():
    """The number of the class of each pixel; tongue and disc touch."""
    found = np.where(disc(SHAPE, (45, 60), 30), 2, 0)
    found[70:105, 50:70] = 1
    return found.astype(np.uint8)


class ByBands(nn.Module):
    """A class for each band, whose logit is eight times the band."""

    stride = 1

    def __init__(self, in_channels, classes):
        super().__init__()
        self.gain = nn.Parameter(8 * nn.init.ones_(nn.Conv2d(1, 1, 1).weight.detach())[0, 0, 0, 0])
        self.classes = classes

    def forward(self, inputs):
        return Output(mask=self.gain * inputs.x[:, : self.classes])


class TwoLayers(nn.Module):
    """A network that learns within seconds."""

    stride = 1

    def __init__(self, in_channels, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1)
        )

    def forward(self, inputs):
        return Output(mask=self.layers(inputs.x))


def card(names=NAMES, ice=("debris", "ice"), **changes):
    return Card(
        **{
            "name": "by-bands", "architecture": "by_bands", "classes": names, "ice": ice,
            "inputs": tuple(Slot(role) for role in ROLES), "patch_px": 64,
            "normalisation": Normalisation("fixed", mean=(0.0,) * 3, std=(1.0,) * 3), **changes,
        }
    )  # fmt: skip


def write_bands(path, values):
    """Write reflectance of 0 to 1 (bands, rows, columns) onto the upper left of the grid."""
    stored = np.rint(np.asarray(values) * 10000).astype("uint16")
    grid = utm_grid(stored.shape[1:])
    return write_tif(path, stored, grid, descriptions=ROLES, scales=(1e-4,) * len(stored))


def write_world(folder, monkeypatch, **changes):
    """Write a scene whose bands are 1 where their class is, and a model that reads them so."""
    from glacierx.networks import ARCHITECTURES

    monkeypatch.setitem(ARCHITECTURES, "by_bands", "class_world:ByBands")
    values = np.stack([kinds() == number for number in range(3)])
    scene = write_bands(folder / "scene.tif", values)
    made = card(**changes)
    model = Model(ByBands(3, len(made.classes)), made)
    return scene, save_network(model, folder / "by-bands.safetensors", overwrite=True)
