"""Patches brought to a device scaled there, beside the scaling of whole arrays."""

import numpy as np
import pytest
import torch

from glacierx.predict.normalise import Normaliser
from glacierx.predict.planes import Feeder
from glacierx.predict.strips import Patch
from glacierx.scene.stored import Stored

CARD = ("green", "red_edge1", "nir", "elevation")
PRESENT = ("green", "nir", "elevation")
CPU = torch.device("cpu")


def two_files(dtype, seed=0):
    random = np.random.default_rng(seed)
    low, high = (0, 1) if np.dtype(dtype).kind == "f" else (0, min(np.iinfo(dtype).max, 10_000))
    # In another order than the card's, as the files may have them.
    bands = (random.random((2, 32, 32)) * (high - low) + low).astype(dtype)
    heights = (3000 + 500 * random.random((1, 32, 32))).astype("float32")
    scale, offset = (1e-4, -0.1), (2e-4, 0.05)
    return (
        Stored(("nir", "green"), bands, (scale[0], offset[0]), (scale[1], offset[1])),
        Stored.physical(("elevation",), heights),
    ), random.random((32, 32)) > 0.2


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64"]
)
@pytest.mark.parametrize("how", [
    Normaliser(np.float32([0.1, 0.2, 3100]), np.float32([0.5, 0.3, 250]), bounded=True),
    Normaliser(np.float32([0, 0, 0]), np.float32([1, 1, 1])),
    Normaliser(None, None),
])  # fmt: skip
def test_the_device_scales_as_the_normaliser_does(dtype, how):
    parts, valid = two_files(dtype)
    physical = np.stack([parts[0].plane(1), parts[0].plane(0), parts[1].plane(0)])
    expected = how(physical, valid)
    planes = Feeder(CARD, PRESENT, how, CPU)([Patch(parts, valid), Patch(parts, valid)])
    assert planes.x.shape == (2, 4, 32, 32)
    assert not planes.x[:, 1].any()  # a role that the scene lacks
    for patch in planes.x.numpy():
        # Scale and shift are one step here, and two there: float32 ends at 1e-6 of the largest.
        assert np.allclose(patch[[0, 2, 3]], expected, rtol=1e-6, atol=1e-5)
        assert not patch[:, ~valid].any()


def test_what_invalid_pixels_hold_never_matters():
    parts, valid = two_files("float32")
    spoilt = Stored(
        parts[0].roles, np.where(valid, parts[0].values, np.float32(np.nan)), parts[0].scale,
        parts[0].offset,
    )  # fmt: skip
    for how in (Normaliser(np.zeros(3, "f4"), np.ones(3, "f4")), Normaliser(None, None)):
        feed = Feeder(CARD, PRESENT, how, CPU)
        one, other = (feed([Patch(p, valid)]).x for p in (parts, (spoilt, parts[1])))
        assert torch.equal(one, other)


def test_a_patch_without_a_valid_pixel_is_zero():
    parts, valid = two_files("uint16")
    planes = Feeder(CARD, PRESENT, Normaliser(None, None), CPU)([Patch(parts, valid & False)])
    assert not planes.x.any()


def test_a_wider_view_is_scaled_alike():
    parts, valid = two_files("uint16")
    how = Normaliser(np.float32([0.1, 0.2, 3100]), np.float32([0.5, 0.3, 250]), bounded=True)
    physical = np.stack([parts[0].plane(1), parts[0].plane(0), parts[1].plane(0)])
    planes = Feeder(CARD, PRESENT, how, CPU)([Patch(parts, valid, (physical, valid))])
    assert torch.allclose(planes.context, planes.x, rtol=1e-6, atol=1e-5)
