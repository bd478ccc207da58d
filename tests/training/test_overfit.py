"""Each preset learns two made patches by heart: its network, its loss and its planes fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from glacierx.predict.modelfile import build_model
from glacierx.predict.precision import choose_precision
from glacierx.training.loop import Learner
from glacierx.training.preset import load_preset, presets
from glacierx.training.run import view_of
from glacierx.training.samples import Sample
from glacierx.training.validate import validate

CPU = torch.device("cpu")
STEPS, SIDE = 200, 256
# A network whose finest map has stride 32 draws no sharper outline than that, and one without
# batch norm learns from scratch by small steps.
WANTED = {"fcn32s": 0.90}
# Those that do the most arithmetic for a step have fewer of them.
ITS_OWN = {
    "fcn32s": {"steps": 400, "lr": 3e-4},
    "glaciercovernet": {"steps": 100},
    "r2u-net": {"steps": 40},
    "rajat2022": {"steps": 60},
    "tian2022-cse": {"steps": 60},
}
HALVED = {"widths": [16, 16, 32, 64, 64]}
# Five networks made thin, with all that is special in each: seconds, where whole ones take minutes.
THIN = {
    "chu2022": {**HALVED, "pyramid_width": 16, "low_width": 8},
    "unet-resnet18": {"encoder_arguments": HALVED, "decoder_widths": [32, 16, 16, 16, 16]},
    "diaconu2023": {"encoder_arguments": HALVED, "decoder_widths": [32, 16, 16, 16, 16]},
    "tian2022-cse": {
        "encoder_arguments": {"widths": [16, 16, 32, 32, 64], "cse": True},
        "decoder_widths": [32, 16, 16, 16],
    },
    "glaciernet": {"width": 16},
}
THIN_STEPS, THIN_SIDE = 60, 96


def patch(seed, roles, side):
    """A made patch: smooth shapes of ice, a tongue of it, and planes that tell it with noise."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(side, side)), side / 10)
    ice = smooth > np.quantile(smooth, 0.6)
    planes = np.stack([
        ndimage.gaussian_filter(random.normal(size=(side, side)), 2) + (0.8 - 1.6 * (at % 2)) * ice
        for at in range(len(roles))
    ])  # fmt: skip
    about = {"name": f"patch{seed}", "gsd_m": 10.0}
    return Sample(roles=roles, values=planes.astype(np.float16), label=ice.astype("u1"), **about)


def overfitted(preset, steps, side, lr=2e-3):
    """Learn two patches by heart; return the IoU of the network as it is used afterwards."""
    patches = [patch(seed, preset.card.roles, side) for seed in (1, 2)]
    options = preset.train_options(
        patch_px=side, batch=2, epochs=1, epoch_patches=2 * steps, lr=lr, optimiser="adamw",
        nesterov=False, schedule="one-cycle", weight_decay=0.0, augment="none", scale_low=1.0,
        scale_high=1.0, background=0.0, share_low=0.0, share_high=1.0, precision="fp32",
        band_dropout=0.0, ema=0.0, seed=0,
    )  # fmt: skip
    model = build_model(preset.card)
    learner = Learner(
        model.network, model.card, patches, options, steps=steps, device=CPU,
        precision=choose_precision("fp32", CPU),
    )  # fmt: skip
    learner.run(steps)
    view = replace(view_of(model, options, CPU), side=side)
    return validate(learner.network, patches, view).pooled().scores()["iou"]


@pytest.mark.parametrize("name", sorted(THIN))
def test_a_thin_network_of_a_preset_learns_two_patches_by_heart(name):
    preset = load_preset(name)
    thin = replace(preset.card, arguments={**preset.card.arguments, **THIN[name]})
    assert overfitted(replace(preset, card=thin), THIN_STEPS, THIN_SIDE, lr=1e-2) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", presets())
def test_a_preset_learns_two_patches_by_heart(name):
    how = {"steps": STEPS, "side": SIDE, **ITS_OWN.get(name, {})}
    assert overfitted(load_preset(name), **how) > WANTED.get(name, 0.95)
