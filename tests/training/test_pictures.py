import numpy as np
from factories import disc_sample
from PIL import Image

from glacierx.training.pictures import HIT, draw_validation
from glacierx.training.samples import IGNORED, INVALID, Sample


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_picture_shows_scene_probability_and_errors_side_by_side(tmp_path):
    sample = disc_sample(side=60, radius=20)
    label = sample.label.copy()
    label[:, :5] = INVALID
    hidden = Sample("m", sample.roles, sample.values, label, 10.0)
    logit = np.where(sample.label == 1, 800.0, -800.0).astype(np.float32)
    logit[30, 55] = 800  # false ice
    logit[30, 30] = -800  # missed ice
    draw_validation(hidden, logit, tmp_path / "p.png")
    shown = pixels(tmp_path / "p.png")
    assert shown.shape == (60, 180, 3)
    assert shown[30, 60 + 25].tolist() == [255] * 3
    assert shown[2, 60 + 30].tolist() == [0] * 3
    errors = shown[:, 120:]
    blue, red = errors[30, 25], errors[30, 55]
    assert blue.argmax() == np.argmax(HIT) == 2
    assert red.argmax() == 0
    assert errors[30, 30][2] < errors[30, 30][:2].min()  # yellow


def test_a_scene_of_other_bands_or_nothing_known_is_drawn(tmp_path):
    for roles in (("nir",), ("green", "nir"), ("swir1", "nir", "green")):
        sample = disc_sample(side=40, radius=10, roles=roles)
        unknown = Sample("u", roles, sample.values, np.full_like(sample.label, IGNORED), 10.0)
        draw_validation(unknown, np.zeros((40, 40), np.float32), tmp_path / "p.png")
        assert pixels(tmp_path / "p.png").shape == (40, 120, 3)
