"""The page: its texts, its data and its rules against anything from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

import glacierx
from glacierx.evaluate.table import number, title
from glacierx.inputs import table
from glacierx.report.columns import Classes, classes_of, columns_record
from glacierx.report.command import command_of, fingerprints
from glacierx.report.figures import Figure
from glacierx.report.ground import Frame, Overlay, Shapes
from glacierx.report.notes import Note
from glacierx.report.results import Results, stem

LINE = 84
SHOWN_DIGITS = 12
"""Letters of a SHA-256 that are shown."""


@dataclass(frozen=True)
class Contents:
    """Everything that a page shows.

    Attributes:
        results: The glaciers and their run record.
        frame: The plane of the map.
        shapes: What is drawn in it.
        overlay: The scene below.
        figures: Plots.
        notes: What to know before using it.
        scores: What `evaluate` wrote.
    """

    results: Results
    frame: Frame
    shapes: Shapes
    overlay: Overlay | None
    figures: Sequence[Figure]
    notes: Sequence[Note]
    scores: Mapping[str, Any] | None = None


def page_html(contents: Contents) -> str:
    """Write the page: one file that loads nothing."""
    results = contents.results
    name = str(table(results.record, "scene").get("name") or results.name)
    style = _asset("vendor/leaflet/leaflet.css") + _asset("page.css")
    # Controls that we do not use name pictures that are not there.
    style = re.sub(r"(background-image|behavior): url\([^)]*\);", "", style)
    script = _asset("vendor/leaflet/leaflet.js") + "\n" + _asset("page.js")
    script = re.sub(r"^//# sourceMappingURL=.*$", "", script, flags=re.MULTILINE)
    values = {
        "policy": _policy(style, script),
        "title": escape(f"Glaciers of {stem(name)}"),
        "heading": escape(f"Glaciers of {name}"),
        "subtitle": escape(_subtitle(results)),
        "style": style,
        "key_figures": _key_figures(results),
        "notes": _notes(contents.notes),
        "map_note": escape(_map_note(contents)),
        "plots": "".join(_plot(figure) for figure in contents.figures),
        "scores": _scores(contents.scores),
        "record": _record(results),
        "version": escape(glacierx.__version__),
        "leaflet_licence": escape(_asset("vendor/leaflet/LICENSE")),
        "data": script_json(_data(contents)),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    text = files("glacierx.report").joinpath(name).read_text(encoding="utf-8")
    # A browser reads line ends as one letter before it hashes a script.
    return text.replace("\r\n", "\n")


def _policy(style: str, script: str) -> str:
    """Allow this style sheet, this script and pictures in the page, and nothing else."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def script_json(value: Any) -> str:
    """Write JSON that can stand in a script element, whatever its texts hold."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _data(contents: Contents) -> dict[str, Any]:
    results, overlay, shapes = contents.results, contents.overlay, contents.shapes
    classes: list[Classes] = classes_of(results)
    return {
        "ids": results.ids,
        "names": results.names,
        "columns": columns_record(results),
        "classes": [one.as_record() for one in classes],
        "frame": contents.frame.as_record(),
        "scene": None if overlay is None else {"url": overlay.url, "text": overlay.text},
        "shapes": {
            "quantum": shapes.quantum_m,
            "polygons": shapes.polygons,
            "lines": shapes.lines,
        },
        "notes": [note.rows for note in contents.notes],
    }


def _subtitle(results: Results) -> str:
    scene, model = table(results.record, "scene"), table(results.record, "model")
    parts = [
        str(scene.get("src_date") or "date not known"),
        str(scene.get("sensor") or ""),
        f"{scene['gsd_m']:.3g} m" if isinstance(scene.get("gsd_m"), int | float) else "",
        str(scene.get("crs") or ""),
        f"outlines by {model['name']}" if model.get("name") else "",
        results.name,
    ]
    return " · ".join(part for part in (parts if scene else parts[-1:]) if part)


def _key_figures(results: Results) -> str:
    areas = results.areas
    found = [("Glaciers", f"{len(results):,}", "")]
    unsure = results.numbers("area_unc_km2")
    extra = "" if unsure is None else f"± {np.nansum(unsure):,.2f}"
    found.append(("Area", f"{areas.sum():,.2f} km²", extra))
    low, high = results.numbers("zmin_m"), results.numbers("zmax_m")
    if low is not None and high is not None:
        span = f"{np.nanmin(low):,.0f} to {np.nanmax(high):,.0f} m"
        found.append(("Elevation", span, ""))
    if len(results):
        largest = int(np.argmax(areas))
        found.append(("Largest", f"{areas[largest]:,.2f} km²", results.ids[largest]))
    complexes = results.values("complex_id")
    if len(results) and all(one is not None for one in complexes):
        found.append(("Glacier complexes", f"{len(set(complexes)):,}", ""))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}"
        f"{f' <small>{escape(extra)}</small>' if extra else ''}</dd></div>"
        for name, value, extra in found
    )


def _notes(notes: Sequence[Note]) -> str:
    if not notes:
        return "<p>Nothing to warn of was found.</p>"
    items = []
    for index, note in enumerate(notes):
        kind = '<span class="kind">Warning.</span> ' if note.warns else ""
        button = ""
        if note.rows:
            said = f"Show {'it' if len(note.rows) == 1 else 'these'}"
            button = (
                f' <button type="button" class="link screen" data-note="{index}" hidden>'
                f"{said}</button>"
            )
        style = ' class="warns"' if note.warns else ""
        items.append(f"<li{style}>{kind}{escape(note.text)}{button}</li>")
    return f"<ul>{''.join(items)}</ul>"


def _map_note(contents: Contents) -> str:
    shown = contents.overlay
    below = f"Below: {shown.text}, stretched. " if shown else "No scene was given. "
    lines = "Dashed lines are ice divides. " if contents.shapes.lines else ""
    moved = f"Outlines are simplified by at most {contents.shapes.tolerance_m:.2g} m."
    return below + lines + moved


def _plot(figure: Figure) -> str:
    head = f"<h3>{escape(figure.title)}</h3>"
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    numbers = ""
    if figure.rows:
        numbers = (
            f"<details><summary>{escape(figure.title)}: the numbers</summary>"
            f"{_table(figure.title, figure.head, figure.rows)}</details>"
        )
    return f'<figure id="{figure.name}">{head}{figure.svg}{caption}{numbers}</figure>'


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    lines = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(one)}</td>" for one in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(name)}: numbers" tabindex="0">'
        f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _scores(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return ""
    values, ends = table(scores, "scores"), table(scores, "intervals", "scores")
    reasons = table(scores, "reasons")
    rows = []
    for name, value in values.items():
        known = _are_numbers(value)
        between = ends.get(name)
        extra = str(reasons.get(name, ""))
        if isinstance(between, list) and len(between) == 2 and _are_numbers(*between):
            extra = f"{number(name, between[0])} to {number(name, between[1])}"
        rows.append((title(name), number(name, value) if known else "none", extra))
    said = f"{scores.get('prediction', '')} against {scores.get('truth', '')}."
    notes = scores.get("notes")
    told = "".join(f"<li>{escape(str(one))}</li>" for one in notes) if isinstance(
        notes, list) else ""  # fmt: skip
    return (
        '<section aria-labelledby="scores-title"><h2 id="scores-title">Scores</h2>'
        f"<p>{escape(said)}</p>{_table('Scores', ('Score', 'Value', '95 % interval'), rows)}"
        f"{f'<ul>{told}</ul>' if told else ''}</section>"
    )


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _record(results: Results) -> str:
    record = results.record
    if not record:
        return "<p>The file of outlines holds no run record.</p>"
    parts = command_of(record, results.name)
    shown = "<p>The run record does not tell enough for the command that repeats it.</p>"
    if parts:
        command = _wrapped(parts)
        shown = (
            "<h3>The command that does it again</h3>"
            "<p>In a folder with the files named here:</p>"
            f'<pre tabindex="0" aria-label="Command"><code id="command">{escape(command)}</code>'
            '</pre><button type="button" id="copy" class="screen" hidden>Copy</button>'
        )
    whole = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)
    return (
        f'<dl class="facts">{_facts(record)}</dl>{shown}'
        "<details><summary>The whole run record</summary>"
        f'<pre tabindex="0" aria-label="Run record">{escape(whole)}</pre></details>'
    )


def _wrapped(parts: Sequence[str]) -> str:
    """Break a command into lines between its flags."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) > LINE:
            lines.append(f"  {part}")
        else:
            lines[-1] += f" {part}"
    return " \\\n".join(lines)


def _facts(record: Mapping[str, Any]) -> str:
    model, outline = table(record, "model"), table(record, "options", "outline")
    facts = [
        ("Scene", ", ".join(_named(*one) for one in fingerprints(record))),
        ("DEM", _named(str(table(record, "dem").get("name", "none")),
                       str(table(record, "dem").get("sha256", "")))),
        ("Divides copied from", str(table(record, "inventory").get("name", ""))),
        ("Model", " ".join(str(model[key]) for key in ("kind", "name") if model.get(key))),
        ("Threshold", str(outline.get("threshold", ""))),
        ("Minimum area", f"{outline['min_area_km2']} km²" if "min_area_km2" in outline else ""),
        ("Versions", ", ".join(f"{k} {v}" for k, v in table(record, "versions").items())),
    ]  # fmt: skip
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts if value
    )


def _named(name: str, digest: str) -> str:
    return f"{name} (SHA-256 {digest[:SHOWN_DIGITS]}…)" if digest else name
