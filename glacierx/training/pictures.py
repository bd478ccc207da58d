"""What a network says of a held-out scene beside what its label says."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit

from glacierx.scene.staging import staged
from glacierx.training.samples import ICE, INVALID, OTHER, Source, as_ice

SHOWN = (("swir1", "nir", "red"), ("red", "green", "blue"), ("nir", "red", "green"))
LARGEST_PX = 1024
HIT, FALSE, MISSED = (60, 140, 255), (230, 60, 40), (255, 200, 0)


def draw_validation(source: Source, logit: NDArray[np.float32], path: Path) -> None:
    """Draw a scene, the probability, and hits (blue), false ice (red), missed ice (yellow)."""
    rows, columns = (min(length, LARGEST_PX) for length in source.shape)
    values, label = source.read(0, 0, rows, columns)
    label = as_ice(label, source.ice)
    logit = logit[:rows, :columns]
    chosen = next((names for names in SHOWN if set(names) <= set(source.roles)), source.roles[:1])
    planes = [values[source.roles.index(name)] for name in chosen]
    if len(planes) < 3:
        planes = planes[:1] * 3
    scene = (np.stack(planes, axis=-1).clip(0, 1) ** 0.7 * 255).astype(np.uint8)
    probability = (255 * expit(logit)).astype(np.uint8)
    probability[label == INVALID] = 0
    errors = (scene // 2).astype(np.uint8)
    found = logit > 0
    for where, colour in (
        (found & (label == ICE), HIT),
        (found & (label == OTHER), FALSE),
        (~found & (label == ICE), MISSED),
    ):
        errors[where] = (errors[where] + np.array(colour)) // 2
    grey = np.repeat(probability[..., None], 3, axis=-1)
    with staged(path, overwrite=True) as part:
        Image.fromarray(np.concatenate([scene, grey, errors], axis=1)).save(part)
