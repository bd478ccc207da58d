"""The recipe of the model that ships, and the runs that judge it.

    python benchmarks/starter.py DATA WORK                  # the model: WORK/starter.safetensors
    python benchmarks/starter.py DATA WORK --variant no-made --budget 0.1

DATA holds the data sets landsat8_nw_himalaya, sentinel2_debris, landsat7_everest and
sentinel2_khumbu, and beside it, in ../splits, DEMs with inventories. WORK takes the rendered
scenes, the manifest and the run, which goes on where it was interrupted when the same command is
given again. Variants change one thing each; with --budget they learn for a share of the first
cycle alone.
"""

import argparse
import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glacierx.options import SimulateOptions
from glacierx.predict.card import Card
from glacierx.predict.device import choose_device
from glacierx.predict.memory import keep_memory
from glacierx.predict.modelfile import build_model, save_network
from glacierx.scene.scene import open_scene
from glacierx.simulate.simulate import simulate
from glacierx.training.preset import load_preset
from glacierx.training.run import Place
from glacierx.training.train import train

# Epochs and highest learning rate of each cycle; the second begins with the weights of the first.
CYCLES = ((50, 4e-3), (30, 2e-3))
# How often a pixel of a set is drawn, so that each has its share of the patches: Landsat 8 and
# Sentinel-2 a third each, made and rendered scenes a seventh, the two small ones the rest.
WEIGHTS = {"landsat8": 1.0, "sentinel2": 1.0, "everest": 4.0, "khumbu": 1.5, "made": 0.1}

# Sensors of the scenes that are rendered, with the GSD of made ones.
RENDERED = (
    "landsat-8", "landsat-7", "sentinel-2", "landsat-5", "landsat-8", "sentinel-2", "landsat-7",
    "gaofen-6",
)  # fmt: skip
MADE = (
    ("landsat-8", 30), ("landsat-7", 30), ("sentinel-2", 10), ("landsat-8", 30),
    ("planetscope-4", 3), ("landsat-5", 30), ("sentinel-2", 10), ("gaofen-6", 8),
    ("landsat-7", 30), ("sentinel-2", 20), ("landsat-9", 30), ("planetscope-4", 5),
    ("gaofen-6", 2), ("sentinel-2", 10), ("landsat-8", 15), ("landsat-7", 30),
)  # fmt: skip
MADE_PX, RENDERED_PX = 768, 640
COLUMNS = (
    "scene", "labels", "layer", "positive", "bands", "dem", "split", "region", "group", "weight",
)  # fmt: skip

LICENCE = "weights: MIT; see training.terms for those of the labels"
TERMS = {
    "landsat8": "imagery USGS public domain; labels of the IEEE Glacier Hackathon 2025 state none",
    "sentinel2": "imagery Copernicus; labels of doi:10.3390/rs14061352 state none",
    "everest": "imagery USGS public domain; RGI 6.0 outlines CC BY 4.0",
    "khumbu": "imagery Copernicus; RGI 6.0 outlines CC BY 4.0",
    "made": "made scenes; rendered ones on SRTM with RGI outlines, CC BY 4.0",
}

NEVER_SHOWN = [
    "real scenes outside the Himalaya and the Karakoram; elsewhere use glacierx adapt or train",
    "calving fronts, sea ice, ice shelves, tropical glaciers, rock glaciers apart from glaciers",
    "real scenes of PlanetScope, Gaofen, SPOT and ASTER: only rendered ones of some",
    "clouds, cloud shadow, Landsat 7 after May 2003, polar night, SAR",
]


@dataclass(frozen=True)
class Variant:
    """One thing that is done otherwise.

    Attributes:
        groups: Sets that are learnt from; all if empty.
        bands: The network takes these, all of them required; the starter's slots if empty.
        options: Changed options.
    """

    groups: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


VARIANTS = {
    "starter": Variant(),
    "open": Variant(("everest", "khumbu", "made")),
    "no-made": Variant(("landsat8", "sentinel2", "everest", "khumbu")),
    "made-only": Variant(("made",)),
    "no-dropout": Variant(options=(("band_dropout", 0.0),)),
    "seed-1": Variant(options=(("seed", 1),)),
    "seed-2": Variant(options=(("seed", 2),)),
    "bands-landsat8": Variant(
        bands=("blue", "green", "red", "swir1", "tir1"), options=(("band_dropout", 0.0),)
    ),
    "bands-sentinel2": Variant(
        bands=("blue", "green", "red", "nir", "swir1", "slope", "elevation"),
        options=(("band_dropout", 0.0),),
    ),
    "bands-everest": Variant(
        bands=("blue", "green", "red", "nir"), options=(("band_dropout", 0.0),)
    ),
}


def render_all(data: Path, work: Path) -> list[dict[str, Any]]:
    """Render what is not rendered yet; return its lines of the manifest."""
    lines = []
    splits = data.parent / "splits"
    jobs: list[tuple[str, SimulateOptions, Path | None]] = []
    for number, sensor in enumerate(RENDERED, 1):
        for place, case in enumerate(("oetztal_rgi7", "icecap_oggm"), 1):
            options = SimulateOptions(size=RENDERED_PX, sensor=sensor, seed=100 * place + number)
            jobs.append((f"{case}_{number:02}", options, splits / case))
    for number, (sensor, gsd) in enumerate(MADE, 1):
        options = SimulateOptions(
            size=MADE_PX, sensor=sensor, gsd=gsd, seed=300 + number, vary=True
        )
        jobs.append((f"made_{number:02}", options, None))
    for name, options, case_folder in jobs:
        folder = work / "rendered" / name
        done = folder / "done"
        if not done.exists():
            simulate(
                folder,
                options,
                dem=case_folder and case_folder / "dem.tif",
                outlines=case_folder and case_folder / "glaciers.gpkg",
                overwrite=True,
            )
            done.touch()
            print(f"rendered {name}", flush=True)
        lines.append({
            "scene": folder / "scene.tif", "labels": folder / "outlines.gpkg",
            "layer": "glaciers", "dem": folder / "dem.tif", "split": "train", "group": "made",
        })  # fmt: skip
    return lines


def real(data: Path) -> Iterable[dict[str, Any]]:
    """List the real scenes; the folders validation choose the weights and the temperature."""
    for part in ("train", "validation"):
        folder = data / "landsat8_nw_himalaya" / part
        for path in sorted(folder.glob("img_*.tif")):
            yield line(path, path.name.replace("img", "lab"), "1", part, "landsat8")
        folder = data / "sentinel2_debris" / part
        for path in sorted(folder.glob("img_*.tif")):
            # Once with the clean ice that thresholds found, once with all that is no debris and
            # no ground unknown: where the two agree counts twice.
            yield line(path, path.name.replace("img", "pseudo"), "1,2", part, "sentinel2")
            if part == "train":
                yield line(path, path.name.replace("img", "partial"), "1", part, "sentinel2")
        path = data / "landsat7_everest" / part / "img.tif"
        yield line(path, "lab.tif", "1", part, "everest")
    for path in sorted((data / "sentinel2_khumbu").glob("img_*.tif")):
        yield line(path, "glacier_mask_rgi60.tif", "1", "train", "khumbu")


def line(path: Path, labels: str, positive: str, part: str, group: str) -> dict[str, Any]:
    """Return a line of the manifest."""
    return {
        "scene": path, "labels": path.with_name(labels), "positive": positive, "split": part,
        "group": group,
    }  # fmt: skip


def write_manifest(lines: Iterable[dict[str, Any]], path: Path) -> None:
    """Write the manifest, with each set's weight."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for entry in lines:
            absolute = {
                key: str(Path(value).resolve()) if isinstance(value, Path) else value
                for key, value in entry.items()
            }
            writer.writerow({**absolute, "weight": WEIGHTS[str(entry["group"])]})


def card_of(variant: Variant, name: str) -> Card:
    """Return the contract of a variant's network."""
    card = load_preset("starter").card
    card = replace(card, name=name, licence=LICENCE)
    if not variant.bands:
        return card
    slots = tuple(
        replace(slot, required=True) for slot in card.inputs if slot.role in variant.bands
    )
    arguments = {**card.arguments, "presence": False}
    return replace(card, inputs=slots, minimum=(), arguments=arguments)


def has_bands(entry: dict[str, Any], bands: tuple[str, ...]) -> bool:
    """Tell whether a scene has the bands that a network requires."""
    with open_scene(entry["scene"], dem=entry.get("dem")) as scene:
        return set(bands) <= set(scene.available)


def main() -> None:
    """Train the model, or a variant of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="starter")
    parser.add_argument("--budget", type=float, default=1.0, help="share of the first cycle, alone")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    variant = VARIANTS[given.variant]
    name = given.variant if given.budget == 1 else f"{given.variant}-{given.budget:g}"
    folder = given.work / name
    folder.mkdir(parents=True, exist_ok=True)
    lines = [*real(given.data), *render_all(given.data, given.work)]
    wanted = variant.groups or tuple(WEIGHTS)
    lines = [
        entry
        for entry in lines
        if (entry["group"] in wanted or entry["split"] == "validation")
        and has_bands(entry, variant.bands)
    ]
    write_manifest(lines, folder / "scenes.csv")
    first = CYCLES[0]
    cycles = CYCLES if given.budget == 1 else ((max(1, round(first[0] * given.budget)), first[1]),)
    preset = load_preset("starter")
    # Weights are averaged over the same share of a run, however short it is.
    ema = 1 - (1 - preset.train_options().ema) / min(1.0, given.budget)
    plan = [
        preset.train_options(**{"epochs": epochs, "lr": lr, "ema": ema, **dict(variant.options)})
        for epochs, lr in cycles
    ]
    keep_memory()
    trained = model = build_model(card_of(variant, name), plan[0].seed)
    for number, options in enumerate(plan, 1):
        trained = train(
            folder / "scenes.csv",
            replace(trained, card=model.card),
            options,
            place=Place(folder / f"run-{number}", resume=True, device=choose_device(given.device)),
            progress=lambda done, total, what: print(f"{done}/{total} {what}", flush=True),
        )
    groups = {entry["group"] for entry in lines if entry["split"] == "train"}
    terms = {group: TERMS[group] for group in sorted(groups)}
    card = replace(
        trained.card,
        training={
            **trained.card.training,
            "cycles": [options.as_record() for options in plan],
            "terms": terms,
            "never_shown": NEVER_SHOWN,
        },
        citation="glacierx, and the sources of training.terms",
    )
    path = folder / f"{name}.safetensors"
    save_network(replace(trained, card=card), path, overwrite=True, half=True)
    print(json.dumps(card.scores["validation"], indent=1))
    print(path)


if __name__ == "__main__":
    main()
