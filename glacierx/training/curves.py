"""Loss and scores over the steps of a run, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from glacierx.scene.staging import staged

SIZE, MARGIN, GAP = (900, 640), 60, 40
COLOURS = ("#1b6ca8", "#c0392b", "#27864a", "#8e44ad", "#d07a00", "#16808a", "#555555")
INK, FAINT = "#222222", "#dddddd"


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the loss above, IoU on training patches and on each validation group below."""
    picture = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    half = (SIZE[1] - 2 * MARGIN - GAP) // 2
    steps = [float(row["step"]) for row in rows]
    losses = {"loss": [float(row["loss"]) for row in rows]}
    scores: dict[str, list[float]] = {"IoU, training patches": [float(row["iou"]) for row in rows]}
    for name in sorted({name for row in rows for name in row.get("validation", {})}):
        scores[f"IoU, {name}"] = [
            _number(row.get("validation", {}).get(name, {}).get("iou")) for row in rows
        ]
    highest = max((value for value in losses["loss"] if value == value), default=0.0) or 1.0
    _panel(pen, MARGIN, half, steps, losses, highest)
    _panel(pen, MARGIN + half + GAP, half, steps, scores, 1.0)
    with staged(path, overwrite=True) as part:
        picture.save(part)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _panel(
    pen: ImageDraw.ImageDraw,
    top: int,
    height: int,
    steps: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    highest: float,
) -> None:
    left, right, bottom = MARGIN, SIZE[0] - MARGIN, top + height
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * height
        pen.line([(left, y), (right, y)], fill=FAINT)
        pen.text((left - 6, y), f"{share * highest:.2f}", fill=INK, anchor="rm")
    last = max(steps, default=1.0)
    for share in (0.0, 0.5, 1.0):
        at = left + share * (right - left)
        pen.text((at, bottom + 6), f"step {share * last:.0f}", fill=INK, anchor="mt")
    for number, (name, values) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (left + step / last * (right - left), bottom - min(1.0, value / highest) * height)
            for step, value in zip(steps, values, strict=True)
            if value == value
        ]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2)
        for x, y in points[-1:]:
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour)
        pen.text((left + 10 + 270 * (number % 3), top - 18 - 14 * (number // 3)), name, fill=colour)
