"""What stands around a drawn map: its title, legend, scale bar and north arrow."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import Grid

INK, PALE, PAPER = (28, 32, 36), (96, 104, 112), (255, 255, 255)
LEAST_TEXT_PX = 15
TEXT_SHARE = 1 / 66
"""Height of letters over the width of a page."""
FINER = 4
# What Pillow's own font has beside ASCII.
DRAWN = frozenset("°·±²")

Color = tuple[int, int, int]
Draw = ImageDraw.ImageDraw


@dataclass(frozen=True)
class Entry:
    """A line of the legend.

    Attributes:
        color: Its colour.
        text: What it means.
        line: It is a line; else an area.
        dark: The line has dark sides.
    """

    color: Color
    text: str
    line: bool = False
    dark: bool = False


@dataclass(frozen=True)
class Words:
    """What is written around a map.

    Attributes:
        title: What is seen.
        subtitle: Of when, and how much.
        foot: Its CRS, its GSD, its colours.
    """

    title: str
    subtitle: str = ""
    foot: str = ""


def text_px(width: int) -> int:
    """Return the height of letters around a map of this width."""
    return max(LEAST_TEXT_PX, round(width * TEXT_SHARE))


def corner(width: int) -> tuple[int, int]:
    """Return where the upper left pixel of a map of this width lies on its page: (left, top)."""
    size = text_px(width)
    return 2 * size, 6 * size


def page(picture: Image.Image, grid: Grid, words: Words, legend: Sequence[Entry]) -> Image.Image:
    """Put a map on a page.

    Args:
        picture: The map.
        grid: Where its pixels lie.
        words: What is written around it.
        legend: What its colours mean.
    """
    width, height = picture.size
    size, (left, top) = text_px(width), corner(width)
    rows = _legend_rows(legend, size, width - 2 * size - round(0.3 * width))
    block = max(round(2.3 * size), round(1.7 * size * len(rows)))
    whole = (width + 2 * left, top + height + block + 5 * size)
    sheet = Image.new("RGB", whole, PAPER)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(picture, (left, top))
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=INK)
    _write(draw, (left, round(1.4 * size)), words.title, round(1.5 * size), room=width)
    _write(draw, (left, round(3.7 * size)), words.subtitle, size, color=PALE, room=width)
    at = top + height + round(1.2 * size)
    for index, row in enumerate(rows):
        _legend_row(draw, (left, at + round(1.7 * size * index)), row, size)
    _scale_bar(draw, (left + width - 5 * size, at), grid, width, size)
    _north_arrow(sheet, (left + width - size, at), north_turn(grid), size)
    _write(draw, (left, whole[1] - round(3 * size)), words.foot, size, color=PALE, room=width)
    return sheet


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def plain_text(text: str) -> str:
    """Return a text in the letters that Pillow's own font has; others lose marks or become ?."""
    simple = text.replace("\u2013", "-").replace("\u00d7", "x")
    kept = (one if one in DRAWN else unicodedata.normalize("NFKD", one) for one in simple)
    letters = "".join(one for one in "".join(kept) if not unicodedata.combining(one))
    return "".join(one if 32 <= ord(one) < 127 or one in DRAWN else "?" for one in letters)


def _length(text: str, size: int) -> float:
    small = text.count("²")
    plain = float(_font(size).getlength(text.replace("²", "")))
    return plain + small * float(_font(round(0.65 * size)).getlength("2"))


def _write(
    draw: Draw, at: tuple[float, int], text: str, size: int, *, color: Color = INK, room: float = 0
) -> None:
    """Write one line; a 2 is raised by hand, for the font has none, and what is too long is cut."""
    text = plain_text(text)
    if room and _length(text, size) > room:
        while text and _length(text + " ...", size) > room:
            text = text[:-1]
        text += " ..."
    x, y = at
    for index, part in enumerate(text.split("²")):
        if index:
            draw.text((x, y - 0.05 * size), "2", fill=color, font=_font(round(0.65 * size)))
            x += _length("²", size)
        draw.text((x, y), part, fill=color, font=_font(size))
        x += _length(part, size)


def _legend_rows(legend: Sequence[Entry], size: int, room: int) -> list[list[Entry]]:
    rows: list[list[Entry]] = [[]]
    used = 0.0
    for entry in legend:
        needed = 4 * size + _length(plain_text(entry.text), size)
        if rows[-1] and used + needed > room:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += needed
    return rows


def _legend_row(draw: Draw, at: tuple[int, int], row: Sequence[Entry], size: int) -> None:
    left, top = at
    for entry in row:
        middle = top + round(0.62 * size)
        if entry.line:
            thick = max(2, round(0.16 * size))
            if entry.dark:
                sides = (left - 1, middle - thick, left + 1.6 * size + 1, middle + thick)
                draw.rectangle(sides, fill=INK)
            half = thick / 2
            draw.rectangle(
                (left, middle - half, left + 1.6 * size, middle + half), fill=entry.color
            )
        else:
            box = (left, top + 0.12 * size, left + 1.6 * size, top + 1.12 * size)
            draw.rectangle(box, fill=entry.color, outline=INK)
        _write(draw, (left + round(2.1 * size), top), entry.text, size)
        left += round(4 * size + _length(plain_text(entry.text), size))


def scale_bar_m(width_m: float) -> float:
    """Return a round length, 1, 2 or 5 times a power of ten, of a tenth to a quarter of a width."""
    power = 10.0 ** math.floor(math.log10(width_m / 4))
    return max(step * power for step in (1, 2, 5) if step * power <= width_m / 4)


def _scale_bar(draw: Draw, at: tuple[int, int], grid: Grid, width: int, size: int) -> None:
    """Draw a bar in two halves whose right end lies at a place, and its length above it."""
    pixel_m = grid.pixel_m[1]
    bar_m = scale_bar_m(width * pixel_m)
    long, (right, top) = round(bar_m / pixel_m), at
    left, low, high = right - long, top + round(1.5 * size), top + round(1.85 * size)
    draw.rectangle((left, low, right, high), fill=PAPER, outline=INK)
    draw.rectangle((left, low, left + long // 2, high), fill=INK)
    text = f"{bar_m / 1000:g} km" if bar_m >= 1000 else f"{bar_m:g} m"
    _write(draw, (left - _length("0", size) / 2, top), "0", size)
    _write(draw, (right - _length(text, size) / 2, top), text, size)


def north_turn(grid: Grid) -> float:
    """Return where true north is at the middle of a grid, in degrees clockwise from its top."""
    row, column = grid.rows / 2, grid.columns / 2
    x, y = grid.to_map(row, column)
    lon, lat = transform_points(x, y, grid.crs, LONLAT)
    away = 1e-4 if lat < 89 else -1e-4
    there = grid.to_pixels(*transform_points(lon, lat + away, LONLAT, grid.crs))
    down, right = (float(value) * math.copysign(1, away) for value in
                   (there[0] - row, there[1] - column))  # fmt: skip
    return math.degrees(math.atan2(right, -down))


def _north_arrow(sheet: Image.Image, at: tuple[int, int], turn: float, size: int) -> None:
    """Draw an arrow that points to true north, around a column and below a row."""
    side = round(3.4 * size)
    large = Image.new("L", (side * FINER, side * FINER), 0)
    pale = Image.new("L", large.size, 0)
    angle, reach = math.radians(turn), 0.34 * side * FINER
    middle = side * FINER / 2

    def place(along: float, across: float) -> tuple[float, float]:
        x = along * math.sin(angle) + across * math.cos(angle)
        y = -along * math.cos(angle) + across * math.sin(angle)
        return middle + reach * x, middle + reach * (y + 0.35)

    tip, notch = place(1.0, 0), place(-0.55, 0)
    ImageDraw.Draw(large).polygon([tip, place(-1, -0.62), notch], fill=255)
    ImageDraw.Draw(pale).polygon([tip, place(-1, 0.62), notch], outline=255, width=FINER)
    font, (x, y) = _font(round(size * 0.95 * FINER)), place(1.0, 0)
    lift = 0.62 * size * FINER
    above = x + lift * math.sin(angle), y - lift * math.cos(angle)
    ImageDraw.Draw(large).text(above, "N", fill=255, font=font, anchor="mm")
    corner_at = (at[0] - side // 2, at[1] - round(0.2 * size))
    for layer in (pale, large):
        small = layer.resize((side, side), Image.Resampling.BOX)
        sheet.paste(Image.new("RGB", small.size, INK), corner_at, small)
