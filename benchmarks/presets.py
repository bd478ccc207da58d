"""Every preset that the data allow, trained alike and a little, beside what needs no training.

    python benchmarks/presets.py WORK [--data FOLDER] [--sets NAME ...] [--presets NAME ...]
        [--steps N] [--equal steps|arithmetic]

A smoke comparison on small data: it shows that each network learns and what it costs, not which
system is the best. For each data set all networks are trained on its train folder with the same
budget, steps x patches x pixels, by the same recipe (AdamW, one cycle, flips, the last weights);
what each keeps of its preset is its network, its loss and its scaling. A preset whose bands or
classes a data set lacks takes those that there are, and is marked. Scores are those of the
validation folder, which nothing was chosen by. With `--equal arithmetic` the starter's network has
the steps that are given, and each other one as many as take the same operations. Runs are kept in
WORK: the same command goes on where it was cut.
"""

import argparse
import csv
import json
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from baselines import Line, baselines, line_of
from datasets import DATA_SETS, DEFAULT, DataSet, Pair, pairs_of
from torch.utils.flop_counter import FlopCounterMode

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.networks.layers import Inputs
from glacierx.options import PredictOptions
from glacierx.predict.card import Card, Slot
from glacierx.predict.device import choose_device
from glacierx.predict.memory import keep_memory
from glacierx.predict.model import load_model
from glacierx.predict.modelfile import Model, build_model, load_network, save_network
from glacierx.predict.predict import predict
from glacierx.scene.classes import BACKGROUND, GLACIER
from glacierx.scene.scene import open_scene
from glacierx.training.options import TrainOptions
from glacierx.training.preset import load_preset, presets
from glacierx.training.run import Place, versions
from glacierx.training.train import train

# How scenes are read so that units are known; 8 bits count as reflectance up to 1.
READING: dict[str, dict[str, Any]] = {
    "landsat8_nw_himalaya": {
        "bands": "blue=1,green=2,red=3,swir1=4,tir1=5", "sensor": "landsat-8", "level": "l1",
    },
    "sentinel2_debris": {
        "bands": "blue=1,green=2,red=3,nir=4,swir1=5,tir1=6,slope=8,elevation=9",
        "scale": 1e-4,
    },
    "landsat7_everest": {"scale": 1 / 255},
}  # fmt: skip
COLUMNS = ("scene", "labels", "positive", "split", "bands", "sensor", "level", "scale")
SHOWN = ("iou", "balanced_accuracy", "f1", "kappa")
TITLES = ("IoU", "Balanced accuracy", "F1", "Kappa")
TIMED_PX, ROUNDS = 256, 3
TIMED_MPX = TIMED_PX**2 / 1e6
OWN_BANDS, TWO_CLASSES = "+", "="
STEPS, ARITHMETIC = "steps", "arithmetic"
LIKE = "starter"
"""The network whose operations the others have."""


@dataclass(frozen=True)
class Cost:
    """What a network takes.

    Attributes:
        parameters: Numbers that it learns.
        gflop: Thousand million operations for a million pixels, a multiply-add as two.
        seconds: For a million pixels, here.
    """

    parameters: int
    gflop: float
    seconds: float


def cost_of(model: Model, device: torch.device) -> Cost:
    """Count and time a network on one patch, without test-time augmentation."""
    network = model.network.eval().to(device)
    x = Inputs(torch.zeros(1, len(model.card.inputs), TIMED_PX, TIMED_PX, device=device))
    times = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            began = time.perf_counter()
            network(x).mask.sum().item()
            times.append(time.perf_counter() - began)
    network.cpu()
    many = sum(weight.numel() for weight in network.parameters())
    return Cost(many, gflop_of(model, device), statistics.median(times) / TIMED_MPX)


def gflop_of(model: Model, device: torch.device) -> float:
    """Count the operations for a million pixels, in thousand millions."""
    x = Inputs(torch.zeros(1, len(model.card.inputs), TIMED_PX, TIMED_PX, device=device))
    network = model.network.eval().to(device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(x)
    return float(counter.get_total_flops() / 1e9 / TIMED_MPX)


def steps_of(card: Card, like: float | None, steps: int) -> int:
    """Return the steps that a network has: all alike, or as many as take *like* operations each."""
    if like is None:
        return steps
    return max(1, int(steps * (like / gflop_of(build_model(card), torch.device("cpu")))))


def fitted_card(name: str, there: Sequence[str], patch_px: int) -> tuple[Card, str]:
    """Return the card of a preset, on the bands and classes that there are if it wants others.

    Returns:
        The card, and marks of what is not as its preset says.
    """
    card = replace(load_preset(name).card, patch_px=2 * patch_px, tta="none")
    marks = ""
    if len(card.classes) > 2:
        card, marks = replace(card, classes=(BACKGROUND, GLACIER), ice=(GLACIER,)), TWO_CLASSES
    needed = {slot.role for slot in card.inputs if slot.required}
    slots = tuple(slot for slot in card.inputs if slot.role in there)
    if needed <= set(there) and slots:
        return card, marks
    groups = {"slope": "terrain", "elevation": "terrain", "tir1": "thermal"}
    own = tuple(Slot(role, groups.get(role, "optical")) for role in there)
    return replace(card, inputs=own, minimum=()), OWN_BANDS + marks


def write_manifest(data: DataSet, pairs: Sequence[Pair], path: Path) -> None:
    """List the train folder for learning, all of it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for pair in pairs:
            writer.writerow({
                "scene": pair.scene.resolve(), "labels": pair.truth.resolve(),
                "positive": data.positive, "split": "train", **READING[data.name],
            })  # fmt: skip


def trained(
    name: str, card: Card, data: DataSet, folder: Path, steps: int, given: argparse.Namespace
) -> Model:
    """Train, go on, or take the model that was trained before by the same."""
    loss = load_preset(name).train_options().loss
    options = TrainOptions(
        patch_px=given.patch_px, batch=given.batch, epochs=1,
        epoch_patches=steps * given.batch, lr=given.lr, loss=loss, ema=0.0, take="last",
        augment="flips", scale_low=0.8, scale_high=1.0, band_dropout=0.0, precision="auto",
    )  # fmt: skip
    manifest = folder / "scenes.csv"
    write_manifest(data, pairs_of(data, given.data, "train"), manifest)
    key = json.dumps([card.to_json(), options.as_record(), versions(), manifest.read_text()])
    model, told = folder / f"{name}.safetensors", folder / f"{name}.key"
    if model.exists() and told.exists() and told.read_text() == key:
        return load_network(model)
    place = Place(folder / f"{name}.training", True, choose_device(given.device))
    if told.exists() and told.read_text() != key:
        place = replace(place, resume=False, overwrite=True)
    told.write_text(key)
    found = train(manifest, build_model(replace(card, name=name)), options, place=place)
    save_network(found, model, overwrite=True)
    return found


def scored(name: str, model: Model, data: DataSet, folder: Path, given: argparse.Namespace) -> Line:
    """Score a model on the validation folder."""
    pairs = pairs_of(data, given.data, "validation")
    maps = []
    for pair in pairs:
        path = folder / f"{name}_{pair.scene.stem}.tif"
        with (
            open_scene(pair.scene, **READING[data.name]) as scene,
            predict(scene, model, PredictOptions(tta="none"), path=path, overwrite=True),
        ):
            maps.append(path)
    line = line_of(name, maps, pairs, data, given.block_m)
    for path in maps:
        path.unlink()
    return line


def row_of(line: Line, cost: Cost | None, steps: int | None = None) -> list[str]:
    """Return the cells of a line."""
    dash = "-"
    values = [line.scores[name] for name in SHOWN]
    cells = [dash if value is None else f"{value:.3f}" for value in values]
    if cost is None:
        return [line.name, *cells, dash, dash, dash, dash]
    learnt = dash if steps is None else str(steps)
    taken = f"{cost.parameters / 1e6:.2f}", f"{cost.gflop:,.0f}", f"{cost.seconds:.2f}"
    return [line.name, *cells, learnt, *taken]


def roles_of(data: DataSet, root: Path) -> list[str]:
    """Name the bands of a data set's first scene."""
    first = pairs_of(data, root, "train")[0]
    with open_scene(first.scene, **READING[data.name]) as scene:
        return list(scene.roles)


def compare(data: DataSet, given: argparse.Namespace) -> list[str]:
    """Train and score everything on a data set; return its part of the page."""
    folder = given.work / (data.name if given.equal == STEPS else f"{data.name}-{given.equal}")
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device(given.device)
    there = roles_of(data, given.data)
    like = None
    if given.equal == ARITHMETIC:
        like = gflop_of(build_model(fitted_card(LIKE, there, given.patch_px)[0]), device)
    rows, notes = [], []
    for name in given.presets:
        tell(f"{data.name}: {name} ...")
        try:
            card, marks = fitted_card(name, there, given.patch_px)
            steps = steps_of(card, like, given.steps)
            model = trained(name, card, data, folder, steps, given)
            line = scored(name, model, data, folder, given)
        except GlacierxError as error:
            notes.append(f"{name}: {error}")
            continue
        cost = cost_of(model, device)
        rows.append(row_of(replace(line, name=f"{name} {marks}".rstrip()), cost, steps))
        told = {"scores": dict(line.scores), **asdict(cost), "marks": marks, "steps": steps}
        (folder / f"{name}.json").write_text(json.dumps(told, indent=1))
    rows += others(data, folder, given, notes, device)
    head = ["Network", *TITLES, "Steps", "Million parameters", "GFLOP / Mpx", "s / Mpx"]
    table = [head, ["---"] * len(head), *rows]
    return [
        f"## {data.name}", "", f"Bands: {', '.join(there)}. {data.note}.", "",
        *(f"| {' | '.join(row)} |" for row in table), "", *(f"- {note}" for note in notes), "",
    ]  # fmt: skip


def others(
    data: DataSet, folder: Path, given: argparse.Namespace, notes: list[str], device: torch.device
) -> list[list[str]]:
    """Score the model that ships, and the methods without a network."""
    rows = []
    try:
        shipped = load_model("starter")
        assert isinstance(shipped, Model)
        line = scored("shipped", shipped, data, folder, given)
        rows.append(row_of(replace(line, name="starter as it ships"), cost_of(shipped, device)))
    except GlacierxError as error:
        notes.append(f"starter as it ships: {error}")
    if given.classic:
        kept = baselines(data, given.data, given.work / "cache", given.block_m)
        rows += [row_of(line, None) for line in kept.lines]
        notes += kept.notes
    return rows


def tell(text: str) -> None:
    """Say on stderr what is done."""
    print(text, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder of the data sets")
    parser.add_argument(
        "--sets", nargs="+", default=[*READING], choices=[*READING], metavar="NAME",
        help="data sets, all of them if none is named",
    )  # fmt: skip
    parser.add_argument("--presets", nargs="+", default=presets(), metavar="NAME")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument(
        "--equal", choices=(STEPS, ARITHMETIC), default=STEPS,
        help="what all networks have alike; for arithmetic --steps are those of the starter's",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch-px", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--block-m", type=float, default=1500.0)
    parser.add_argument("--no-classic", dest="classic", action="store_false")
    return parser.parse_args()


def main() -> None:
    """Print the page, and write it to WORK/presets.md."""
    given = parsed()
    wanted = [
        data for data in DATA_SETS if data.name in given.sets and (given.data / data.name).is_dir()
    ]
    if not wanted:
        sys.exit(f"There are no data sets in {given.data}: give the folder that holds them.")
    given.work.mkdir(parents=True, exist_ok=True)
    keep_memory()
    mpx = given.batch * given.patch_px**2 / 1e6
    budget = f"{given.steps} steps" if given.equal == STEPS else "as many steps as its line says"
    why = "" if given.equal == STEPS else ", which take all the same number of operations,"
    lines = [
        "# Presets on small data: a smoke comparison",
        "",
        f"Each network learnt from {budget}{why} of {given.batch} patches of "
        f"{given.patch_px} x {given.patch_px} pixels ({mpx:.3f} million pixels), all by one recipe "
        f"(AdamW, one cycle up to {given.lr:g}, flips, the last weights) with the loss and the "
        "scaling of its preset, and was scored once. That is far less than any of the papers: it "
        "shows that they learn and what they cost, not which is best. A network marked "
        f"{OWN_BANDS} takes the bands of the data set, because those of its preset are not there; "
        f"{TWO_CLASSES} tells two classes, because the labels do. "
        "Methods that are fitted saw the same train folder; the model that ships saw it at length.",
        "",
    ]
    for data in wanted:
        lines += compare(data, given)
    text = "\n".join(lines)
    (given.work / "presets.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    warnings.simplefilter("ignore", GlacierxWarning)
    main()
