"""From a manifest or a sample file to a model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glacierx.errors import ExtraError, ModelError
from glacierx.predict.card import Card
from glacierx.predict.modelfile import Model, build_model
from glacierx.predict.precision import choose_precision
from glacierx.training.loop import Learner, steps_of
from glacierx.training.options import SplitOptions, TrainOptions
from glacierx.training.run import Place, learn
from glacierx.training.samples import ICE, Source, ice_labels, load_samples, save_samples
from glacierx.training.scaling import fit_scaling, needs_fitting, scaled_by
from glacierx.training.split import split_sources

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Scenes:
    """Labelled scenes, before it is said which of them are kept back.

    Attributes:
        sources: The scenes.
        card: What they are scaled for.
        regions: The region of each, where the manifest says one.
        said: The manifest says what each is for.
        about: What a sample file says of them; None for a manifest.
    """

    sources: tuple[Source, ...]
    card: Card
    regions: tuple[str | None, ...]
    said: bool
    about: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Data:
    """Labelled scenes that are ready to be learnt from.

    Attributes:
        sources: The scenes, each with its part.
        about: What a card says of them.
        card: What the network takes; with the means and standard deviations of the training
            scenes, where it wants those.
    """

    sources: tuple[Source, ...]
    about: Mapping[str, Any]
    card: Card


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        scenes: Training scenes, or parts of scenes.
        held: Those that are kept for validation.
        pixels: Known pixels to learn from.
        ice_share: Share of ice among them.
        parameters: Of the network.
        steps: Steps of the run.
        patches: Patches of the run.
        patches_per_s: Patches in a second, timed.
        minutes: Minutes of the run, validation left out.
    """

    scenes: int
    held: int
    pixels: int
    ice_share: float
    parameters: int
    steps: int
    patches: int
    patches_per_s: float
    minutes: float

    def summary(self) -> str:
        """Return the estimate as text."""
        return (
            f"{self.scenes} scenes to learn from, {self.held} for validation; "
            f"{self.pixels / 1e6:.2f} million known pixels, {self.ice_share:.0%} ice\n"
            f"{self.parameters / 1e6:.2f} million parameters; {self.steps} steps, "
            f"{self.patches} patches at {self.patches_per_s:.1f} a second: about "
            f"{self.minutes:.0f} minutes, and validation"
        )


@contextmanager
def open_data(
    path: str | Path,
    card: Card,
    split: SplitOptions = SplitOptions(),
    *,
    options: TrainOptions = TrainOptions(),
    progress: Progress | None = None,
) -> Iterator[Data]:
    """Open labelled scenes and check every pixel of them.

    Args:
        path: A manifest (csv or jsonl), or a sample file (npz).
        card: What the network takes.
        split: What is kept from it.
        options: Side of a patch and seed, which a split may follow from.
        progress: Called as work goes on.

    Yields:
        The scenes: in memory where they take less than 2 GiB, else read from their files.

    Raises:
        GlacierxError: A scene or its labels cannot be used; the message begins with its name.
    """
    with open_scenes(path, card, split.ignore_border_m, progress=progress) as scenes:
        yield part_scenes(scenes, card, split, options=options)


@contextmanager
def open_scenes(
    path: str | Path, card: Card, ignore_border_m: float = 0.0, *, progress: Progress | None = None
) -> Iterator[Scenes]:
    """Open labelled scenes and check every pixel of them; see `open_data`."""
    if Path(path).suffix.lower() == ".npz":
        samples, about = load_samples(path)
        if needs_fitting(card):
            card = _scaled_as(about, card)
        check_scaling(about, card, Path(path).name)
        yield Scenes(tuple(samples), card, (None,) * len(samples), True, about)
        return
    with ExitStack() as closing:
        yield _open_files(path, card, ignore_border_m, closing, progress)


def part_scenes(scenes: Scenes, card: Card, split: SplitOptions, *, options: TrainOptions) -> Data:
    """Say which scenes are kept back, and scale all of them by those that are not.

    The parts of a sample file hold, unless it is split into folds.
    """
    if scenes.about is not None and not split.folds:
        return Data(scenes.sources, scenes.about, scenes.card)
    parts = split_sources(
        scenes.sources,
        split,
        seed=options.seed,
        said=scenes.said,
        regions=scenes.regions,
        patch_px=options.patch_px,
    )
    fitted = scenes.card
    if needs_fitting(card):
        parts, fitted = fit_scaling(parts, fitted)
    about = {"scaling": scaling_of(fitted), "split": split.as_record(), **_seen(parts)}
    return Data(tuple(parts), about, fitted)


def _scaled_as(about: Mapping[str, Any], card: Card) -> Card:
    """Take the means and standard deviations that a sample file was made with."""
    try:
        scaling = dict(about["scaling"])
        if scaling["kind"] == "fixed" and scaling["roles"] == list(card.roles):
            mean, std = (np.array(scaling[key], np.float64) for key in ("mean", "std"))
            return scaled_by(card, mean, std)
    except (KeyError, TypeError, ValueError):
        pass
    # What does not fit is refused with words.
    return card


def _open_files(
    path: str | Path,
    card: Card,
    ignore_border_m: float,
    closing: ExitStack,
    progress: Progress | None,
) -> Scenes:
    # A machine without rasterio trains from a sample file and never comes here.
    try:
        from glacierx.training.manifest import check_parts, read_manifest  # noqa: PLC0415
        from glacierx.training.sources import open_sources, rough_scaling  # noqa: PLC0415
    except ImportError as error:
        raise ExtraError(
            f"The scenes of a manifest need a library that is not installed here: {error}. Export "
            "them elsewhere with glacierx train --export, and give the sample file."
        ) from error

    rows = read_manifest(path)
    check_parts(rows, "train")
    if needs_fitting(card):
        card = rough_scaling(rows, card)
    sources = open_sources(rows, card, closing, ignore_border_m=ignore_border_m, progress=progress)
    regions = tuple(row.region for row in rows)
    return Scenes(tuple(sources), card, regions, rows[0].split is not None)


def scaling_of(card: Card) -> dict[str, Any]:
    """Return a network's planes, their scaling and its classes, which sample files are made for."""
    scaling = card.normalisation
    classes: dict[str, Any] = {}
    if len(card.classes) > 2 or ice_labels(card.told) != (ICE,):
        classes = {"classes": list(card.classes), "ice": list(card.ice)}
    return {"roles": list(card.roles), "kind": scaling.kind, "low": scaling.low,
            "high": scaling.high, "mean": list(scaling.mean), "std": list(scaling.std),
            **classes}  # fmt: skip


def check_scaling(about: Mapping[str, Any], card: Card, name: str) -> None:
    """Refuse a sample file that was made for another network.

    Raises:
        ModelError: Its planes or their scaling differ from the card's.
    """
    if about.get("scaling") != scaling_of(card):
        raise ModelError(
            f"{name} was made for another network: its planes, their scaling or its classes "
            "differ. Export it again with the same --preset or --init."
        )


def _seen(sources: Sequence[Source]) -> dict[str, Any]:
    """Say which scenes were seen, by name, hash and place."""
    scenes = [
        {"name": s.name, "part": s.part, "group": s.group, "gsd_m": round(s.gsd_m, 3),
         "roles": list(s.roles), **dict(s.about)}
        for s in sources
    ]  # fmt: skip
    boxes = {tuple(s["footprint"]) for s in scenes if s["part"] == "train" and "footprint" in s}
    return {"scenes": scenes, "footprints": [list(box) for box in sorted(boxes)]}


def export(data: Data, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write scenes into a sample file, from which a machine without GDAL can train."""
    return save_samples(data.sources, path, about=data.about, overwrite=overwrite)


def estimate(model: Model, data: Data, options: TrainOptions, place: Place = Place()) -> Estimate:
    """Take a few steps on a copy of a network and say how long the whole run will take."""
    train = [source for source in data.sources if source.part == "train"]
    _, steps = steps_of(options)
    learner = Learner(
        build_model(model.card).network,
        model.card,
        train,
        options,
        steps=steps,
        device=place.device,
        precision=choose_precision(options.precision, place.device),
    )
    seconds = learner.time_step()
    patches = options.batch * options.accumulate
    known = sum(s.pixels[1] for s in learner.sampler.surveys)
    return Estimate(
        scenes=len(train),
        held=sum(source.part == "validation" for source in data.sources),
        pixels=known,
        ice_share=learner.sampler.ice_share,
        parameters=sum(weight.numel() for weight in model.network.parameters()),
        steps=steps,
        patches=steps * patches,
        patches_per_s=patches / seconds,
        minutes=steps * seconds / 60,
    )


def train(
    data: str | Path,
    model: Model,
    options: TrainOptions = TrainOptions(),
    split: SplitOptions = SplitOptions(),
    place: Place = Place(),
    *,
    progress: Progress | None = None,
) -> Model:
    """Train a network on labelled scenes.

    Args:
        data: A manifest (csv or jsonl) of scenes and labels, or a sample file (npz).
        model: A network with its card: fresh from `load_preset` and `build_model`, or one that
            learnt before.
        options: How it learns.
        split: What is kept for validation.
        place: Device; folder of the state, log and pictures; whether to go on.
        progress: Called as work goes on.

    Returns:
        The trained model; `save_model` writes it.

    Raises:
        GlacierxError: Something is wrong with a scene, whose name begins the message.

    Example:
        >>> preset = load_preset("starter")
        >>> model = train("scenes.csv", build_model(preset.card), preset.train_options(epochs=20))
    """
    with open_data(data, model.card, split, options=options, progress=progress) as opened:
        model = replace(model, card=opened.card)
        return learn(model, opened.sources, options, place, about=opened.about, progress=progress)
