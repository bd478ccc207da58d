"""Plots as SVG that a page holds: drawn by its style sheet, each with its numbers as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from glacierx.report.columns import nice_step, range_labels, size_edges
from glacierx.report.hypsometry import BAND_M, Hypsometry
from glacierx.report.results import Results

WIDTH = 520
ROW, GAP = 26, 14
SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
FLAT = 9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A plot, or why there is none.

    Attributes:
        name: A short name for ids.
        title: What it shows.
        svg: The drawing; empty where there is none.
        caption: How to read it, or what is missing.
        head: Titles of the columns of its numbers.
        rows: Its numbers.
    """

    name: str
    title: str
    svg: str = ""
    caption: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def figures_of(results: Results, hypsometry: Hypsometry | None) -> list[Figure]:
    """Draw every plot that the columns allow."""
    return [
        sizes_figure(results),
        hypsometry_figure(hypsometry),
        aspect_figure(results),
        uncertainty_figure(results),
    ]


def _drawing(name: str, title: str, said: str, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(said)}</desc>{"".join(body)}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _bar(x: float, y: float, width: float, height: float, kind: str = "bar") -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.2f}" '
        f'width="{max(width, 0.0):.2f}" height="{max(height, 0.0):.2f}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "rule") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _two_bars(
    labels: Sequence[str],
    heads: tuple[str, str, str],
    values: tuple[Floats, Floats],
    texts: tuple[Sequence[str], Sequence[str]],
) -> tuple[float, list[str]]:
    """Draw rows with a label and two bars; NaN has no bar."""
    label, each, room = 108, (WIDTH - 108) / 2, 62
    height = ROW * len(labels) + 30
    body = [_text(0, 12, heads[0], "axis")]
    for side in (0, 1):
        left = label + side * each
        body += [_text(left, 12, heads[side + 1], "axis"), _line(left, 20, left, height)]
        largest = float(np.nanmax(values[side], initial=0)) or 1.0
        for row, value in enumerate(values[side].tolist()):
            wide = 0.0 if math.isnan(value) else (each - room - GAP) * value / largest
            top = 26 + ROW * row
            kind = "bar" if side == 0 else "bar second"
            body.append(_bar(left, top, wide, ROW - 8, kind))
            body.append(_text(left + wide + 5, top + 13.5, texts[side][row], "value"))
    body += [_text(0, 26 + ROW * row + 13.5, one) for row, one in enumerate(labels)]
    return height, body


def sizes_figure(results: Results) -> Figure:
    """Draw number and area of glaciers by size class."""
    title, areas = "Size classes", results.areas
    if not len(areas):
        return Figure("sizes", title, caption="There are no glaciers.")
    edges = size_edges(areas)
    labels = range_labels(edges)
    number = np.histogram(areas, edges)[0].astype(np.float64)
    area = np.histogram(areas, edges, weights=areas)[0]
    texts = [f"{int(one):,}" for one in number], [f"{one:,.4g}" for one in area]
    height, body = _two_bars(labels, ("Class, km²", "Glaciers", "Area, km²"), (number, area), texts)
    most = labels[int(np.argmax(number))]
    said = f"{len(areas):,} glaciers in {len(labels)} classes; most are of {most} km²."
    svg = _drawing("sizes", title, said, height, body)
    share = area / max(float(areas.sum()), 1e-12)
    rows = tuple(
        (label, count, f"{one:,.3f}", f"{part:.1%}")
        for label, count, one, part in zip(labels, texts[0], area.tolist(), share, strict=True)
    )
    return Figure("sizes", title, svg, said, ("Class, km²", "Glaciers", "Area, km²", "Share"), rows)


def hypsometry_figure(found: Hypsometry | None) -> Figure:
    """Draw ice area by elevation."""
    title = "Hypsometry"
    if found is None:
        return Figure("hypsometry", title, caption="No elevation is known. Give a DEM with --dem.")
    areas, lows = found.areas_km2, found.lows_m
    height, left, top = 300.0, 62, 22
    plot, wide = height - top - 34, WIDTH - left - 72
    tick = nice_step(float(areas.max()) / 4)
    ticks = math.ceil(float(areas.max()) / tick)
    most = tick * ticks
    low, high = float(lows[0]), float(lows[-1]) + BAND_M
    scale = plot / (high - low)
    body = [_text(0, 12, "Elevation, m", "axis")]
    step = max(float(BAND_M), nice_step((high - low) / 6))
    for at in np.arange(math.ceil(low / step) * step, high + 1, step).tolist():
        y = top + (high - at) * scale
        body += [_line(left, y, left + wide, y, "grid")]
        body += [_text(left - 8, y + 4, f"{at:,.0f}", "value", "end")]
    for edge, area in zip(lows.tolist(), areas.tolist(), strict=True):
        y = top + (high - edge - BAND_M) * scale
        body.append(_bar(left, y + 0.4, wide * area / most, BAND_M * scale - 0.8))
    for one in range(ticks + 1):
        x = left + wide * one / ticks
        body.append(_text(x, height - 18, f"{tick * one:,g}", "value", "middle"))
    body += [_line(left, top, left, top + plot)]
    body.append(_text(left + wide, height - 2, "Ice area in 50 m, km²", "axis", "end"))
    middle = _median_m(found)
    y = top + (high - middle) * scale
    body += [_line(left, y, left + wide, y, "mark")]
    body += [_text(left + wide + 6, y - 2, "median", "note")]
    body += [_text(left + wide + 6, y + 12, f"{middle:,.0f} m", "note")]
    way = f"Of the DEM {found.source}." if found.source else (
        "Approximate: half of each glacier is spread evenly from its lowest to its median "
        "elevation, half from there to its highest. Give a DEM (--dem) for the true curve."
    )  # fmt: skip
    said = f"Ice from {low:,.0f} to {high:,.0f} m in bands of {BAND_M} m; half lies above "
    said += f"{middle:,.0f} m."
    rows = tuple(
        (f"{edge:,.0f} to {edge + BAND_M:,.0f}", f"{area:,.4f}")
        for edge, area in zip(lows.tolist()[::-1], areas.tolist()[::-1], strict=True)
    )
    svg = _drawing("hypsometry", title, said, height, body)
    return Figure("hypsometry", title, svg, f"{said} {way}", ("Elevation, m", "Area, km²"), rows)


def _median_m(found: Hypsometry) -> float:
    """Return the elevation that half of the ice lies above."""
    up = np.r_[0, np.cumsum(found.areas_km2)]
    edges = found.lowest_m + BAND_M * np.arange(len(up))
    return float(np.interp(up[-1] / 2, up, edges))


def aspect_figure(results: Results) -> Figure:
    """Draw ice area by the sector that glaciers face."""
    title = "Aspect"
    sector = results.numbers("aspect_sec")
    if sector is None:
        degrees = results.numbers("aspect_deg")
        if degrees is None:
            missing = "The glaciers have no aspects. Extract or divide them with a DEM."
            return Figure("aspect", title, caption=missing)
        sector = np.floor((degrees + 22.5) / 45) % 8 + 1
    areas = results.areas
    area = np.array([float(areas[sector == one].sum()) for one in range(1, 9)])
    number = [int((sector == one).sum()) for one in range(1, 9)]
    height, reach = 300.0, 112.0
    x, y = WIDTH / 2, height / 2
    largest = float(area.max()) or 1.0
    share = area / (float(area.sum()) or 1.0)
    body = []
    for part in (0.5, 1.0):
        body.append(
            f'<circle class="ring" cx="{x:g}" cy="{y:g}" r="{reach * math.sqrt(part):.1f}"/>'
        )
    for index, name in enumerate(SECTORS):
        radius = reach * math.sqrt(area[index] / largest)
        ends = [math.radians(45 * index + turn) for turn in (-21, 21)]
        (x1, y1), (x2, y2) = (
            (x + radius * math.sin(one), y - radius * math.cos(one)) for one in ends
        )
        body.append(
            f'<path class="bar" d="M{x:g} {y:g}L{x1:.2f} {y1:.2f}'
            f'A{radius:.2f} {radius:.2f} 0 0 1 {x2:.2f} {y2:.2f}Z"/>'
        )
        angle = math.radians(45 * index)
        at = x + (reach + 20) * math.sin(angle), y - (reach + 20) * math.cos(angle) + 4
        body.append(_text(*at, name, "axis", "middle"))
    ring = f"{largest:,.3g} km²"
    body.append(_text(x + reach * 0.4 + 6, y - reach - 6, ring, "value"))
    flat = float(areas[sector == FLAT].sum())
    said = f"Most ice, {share.max():.0%}, faces {SECTORS[int(share.argmax())]}."
    said += f" {flat:,.2f} km² are flat." if flat else ""
    how = "The area of a wedge is in proportion to the ice in it."
    rows = tuple(
        (name, f"{count:,}", f"{one:,.3f}", f"{part:.1%}")
        for name, count, one, part in zip(SECTORS, number, area.tolist(), share, strict=True)
    )
    svg = _drawing("aspect", title, said, height, body)
    head = ("Sector", "Glaciers", "Area, km²", "Share")
    return Figure("aspect", title, svg, f"{said} {how}", head, rows)


def uncertainty_figure(results: Results) -> Figure:
    """Draw relative uncertainty of areas, and spread or mean probability, by size class."""
    title, areas = "Uncertainty by size class", results.areas
    unsure = results.numbers("area_unc_km2")
    kinds = (("spread", "Spread of probability"), ("mean_probability", "Mean probability"))
    column = next((one for one in kinds if results.numbers(one[0]) is not None), None)
    if unsure is None and column is None:
        missing = "The glaciers have neither uncertainties of areas nor probabilities."
        return Figure("uncertainty", title, caption=missing)
    edges = size_edges(areas)
    labels = range_labels(edges)
    nothing = np.full(len(areas), np.nan)
    percent = 100 * _by_class(nothing if unsure is None else unsure, areas, edges, of_area=True)
    second = nothing if column is None else results.numbers(column[0])
    mean = _by_class(nothing if second is None else second, areas, edges, of_area=False)
    texts = (
        ["" if math.isnan(one) else f"{one:,.1f} %" for one in percent.tolist()],
        ["" if math.isnan(one) else f"{one:.2f}" for one in mean.tolist()],
    )
    name = column[1] if column else "Probability: not known"
    heads = "Class, km²", "Area uncertainty", name
    height, body = _two_bars(labels, heads, (percent, mean), texts)
    said = "No uncertainty of areas is known."
    if unsure is not None:
        known = np.nan_to_num(unsure)
        total = float(areas.sum()) or 1.0
        together, apart = float(known.sum()), float(np.sqrt((known**2).sum()))
        said = (
            f"All ice: ± {together:,.2f} km² ({together / total:.1%}) if the margins of all "
            f"glaciers err alike, ± {apart:,.2f} km² ({apart / total:.1%}) if each errs by itself. "
            "Half a pixel along the margin counts as uncertain."
        )
    svg = _drawing("uncertainty", title, said, height, body)
    rows = tuple(zip(labels, *texts, strict=True))
    return Figure("uncertainty", title, svg, said, heads, rows)


def _by_class(values: Floats, areas: Floats, edges: tuple[float, ...], *, of_area: bool) -> Floats:
    """Sum values over the area of a class, or average them weighted by area; NaN for neither."""
    place = np.searchsorted(edges, areas, "right") - 1
    out = np.full(len(edges) - 1, np.nan)
    for index in range(len(out)):
        here = (place == index) & np.isfinite(values)
        weight = float(areas[here].sum())
        if weight > 0:
            top = values[here] if of_area else values[here] * areas[here]
            out[index] = float(top.sum()) / weight
    return out
