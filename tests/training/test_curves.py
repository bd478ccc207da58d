import numpy as np
import pytest
from PIL import Image

from glacierx.training.curves import COLOURS, SIZE, draw_curves


def row(step, loss=0.5, iou=0.4, **validation):
    scores = {name: {"iou": value} for name, value in validation.items()}
    return {"step": step, "loss": loss, "iou": iou, "validation": scores}


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def pixels_of(path, colour):
    shown = pixels(path)
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return np.argwhere((shown == wanted).all(-1))


def test_a_loss_that_falls_is_drawn_falling(tmp_path):
    path = tmp_path / "c.png"
    draw_curves([row(step, loss=1 - step / 100, iou=step / 100) for step in (10, 50, 90)], path)
    assert pixels(path).shape == (*SIZE[::-1], 3)
    drawn = pixels_of(path, COLOURS[0])
    # Above: the loss falls, so its curve goes down, to larger rows; its name is left of column 100.
    loss = drawn[(drawn[:, 0] > 62) & (drawn[:, 0] < 320)]
    score = drawn[drawn[:, 0] > 330]
    for curve, sign in ((loss, 1), (score, -1)):
        left = curve[curve[:, 1] < 400][:, 0].mean()
        right = curve[curve[:, 1] > 600][:, 0].mean()
        assert sign * (right - left) > 30


@pytest.mark.parametrize(
    "rows",
    [
        [row(1)],
        [row(1, loss=0.0), row(2, loss=0.0)],
        [row(1, loss=float("nan"), iou=float("nan"))],
        [row(1, a=0.3), row(2, a=None, b=0.5)],
        [row(step, **{f"group{n}": 0.1 * n for n in range(9)}) for step in (1, 2)],
    ],
    ids=["one", "zero", "nan", "undefined", "many"],
)
def test_odd_logs_are_drawn(tmp_path, rows):
    draw_curves(rows, tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape == (*SIZE[::-1], 3)
