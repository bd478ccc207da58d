"""From a model, a scene and an inventory that may be old to a model of that place."""

import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.networks.layers import Inputs
from glacierx.options import SimulateOptions
from glacierx.predict.card import Card
from glacierx.predict.modelfile import Model
from glacierx.predict.precision import Precision, choose_precision
from glacierx.simulate.simulate import simulate
from glacierx.training.augment import Batch
from glacierx.training.draw import survey
from glacierx.training.heads import probability_of_label
from glacierx.training.loop import TIMED_STEPS, Learner, Trust, steps_of
from glacierx.training.manifest import Row
from glacierx.training.options import AdaptOptions, TrainOptions
from glacierx.training.run import Place, judged, learn, view_of
from glacierx.training.samples import (
    ICE,
    INVALID,
    OTHER,
    Sample,
    Source,
    load_samples,
    load_source,
)
from glacierx.training.share import split_ground
from glacierx.training.sources import FileSource, ice_is_enough, open_sources
from glacierx.training.train import check_scaling
from glacierx.training.validate import Validation, View, rounded_scores, validate

Progress = Callable[[int, int, str], None]
EPOCH_PATCHES = 160
FEWEST_EPOCHS, MOST_EPOCHS = 3, 200
PATIENCE_SHARE = 0.5
MADE_SCENES, MADE_PX = 3, 384
MADE_GSD_M = (1.0, 60.0)
FULL_TRUST = 0.3
LEAST_TRUST = 0.1
# Where ice fills the ground, IoU is best with everything called ice.
METRIC = "balanced-accuracy"
# How far from the given weights to the learnt ones, and what a score may lack of the best.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
NEARLY = 0.02


@dataclass(frozen=True)
class Adapted:
    """What adapting brought.

    Attributes:
        model: The adapted model, or the one that was given where nothing was better.
        before: Scores of the given model on ground that neither learnt from.
        after: Scores of the adapted one there.
        minutes: How long it took.
    """

    model: Model
    before: Mapping[str, float]
    after: Mapping[str, float]
    minutes: float

    def summary(self) -> str:
        """Return the scores before and after as text."""
        names = {"iou": "IoU", "f1": "F1", "balanced_accuracy": "balanced accuracy"}
        return "On ground that was kept back: " + ", ".join(
            f"{text} {self.before[name]:.3f} before, {self.after[name]:.3f} after"
            for name, text in names.items()
        )


def adapt(  # noqa: PLR0913 - one keyword for each thing that can be given
    model: Model,
    scenes: Sequence[Row],
    options: AdaptOptions = AdaptOptions(),
    *,
    replay: str | Path | None = None,
    name: str | None = None,
    place: Place = Place(),
    progress: Progress | None = None,
) -> Adapted:
    """Fine-tune a model on scenes with outlines that are noisy labels.

    A belt along the outlines is left out; once the model has learnt for a while, labels that its
    averaged weights hold to be unlikely count less (early learning, Liu et al. 2020,
    arXiv:2007.00151); a part of the patches is of made scenes, so that less is forgotten. Blocks of
    the scenes are kept back: some choose the weights, end the run and say how far to follow it,
    others are reported.

    Args:
        model: What to begin with.
        scenes: Scenes and their outlines, as lines of a manifest.
        options: Time, belt, what is kept back, and how it learns.
        replay: Sample file to take the place of made scenes.
        name: What the adapted model is called.
        place: Device, and folder of the run.
        progress: Called as work goes on.

    Returns:
        The adapted model with its scores before and after.

    Raises:
        GlacierxError: Something is wrong with a scene, whose name begins the message.
        OptionError: There is too little ice to keep a part of it back.
    """
    began = time.monotonic()
    given = model
    model = replace(model, card=replace(model.card, name=name or f"{model.card.name}-adapted"))
    with ExitStack() as closing:
        whole = open_sources(
            scenes,
            model.card,
            closing,
            ignore_border_px=options.ignore_border_px,
            progress=progress,
        )
        parts = _keep_back(whole, options)
        taught = [
            *parts["train"],
            *_against_forgetting(parts["train"], model.card, options, replay),
        ]
        precision = choose_precision(options.precision, place.device)
        trust = doubting(options.doubt, precision) if options.doubt else None
        how = _train_options(model, taught, options, place, trust, began)
        view = view_of(model, how, place.device)
        first = copy.deepcopy(model.network).to(place.device)
        before = validate(first, parts["test"], view).pooled().scores()
        learnt = learn(
            model,
            [*taught, *parts["validation"]],
            how,
            place,
            about=_about(given, whole, options),
            trust=trust,
            progress=progress,
        )
        share, network, found = _least_change(first, learnt.network, parts["validation"], view)
        after = validate(network, parts["test"], view).pooled().scores()
    held_out = {
        "before": rounded_scores(before),
        "after": rounded_scores(after),
        "data": "blocks of the adapted scenes that neither taught nor chose",
    }
    card = judged(learnt.card, found)
    card = replace(
        card,
        scores={**card.scores, "held_out": held_out},
        training={**card.training, "share_of_change": share},
    )
    adapted = Model(network.cpu(), card)
    return Adapted(adapted, before, after, (time.monotonic() - began) / 60)


def _least_change(
    given: nn.Module, learnt: nn.Module, held: Sequence[Source], view: View
) -> tuple[float, nn.Module, Validation]:
    """Go from the given weights towards the learnt ones no farther than it pays.

    Weights between the two hold better on ground beside what was learnt from (Wortsman et al. 2022,
    arXiv:2109.01903). Held-out blocks lie within that ground and favour the whole
    way, so the shortest one is taken that is nearly as good on them; none, where even that is worse
    than the given weights by more.

    Returns:
        The share of the way, the network, and what was found on the held-out blocks.
    """
    looks = []
    for share in SHARES:
        network = between(given, learnt.to(view.device), share)
        looks.append((share, network, validate(network, held, view)))
    unchanged, *changed = looks
    best = max(found.value(METRIC) for *_, found in changed)
    chosen = next(look for look in changed if look[-1].value(METRIC) >= best - NEARLY)
    if unchanged[-1].value(METRIC) <= chosen[-1].value(METRIC) + NEARLY:
        return chosen
    warnings.warn(
        "Nothing that was learnt holds on the ground that was kept back: the model is as it was. "
        "Check that the outlines fit the scene, or give more of them.",
        GlacierxWarning,
        stacklevel=3,
    )
    return unchanged


def between(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """Return a network whose weights lie on the line from one to another of its kind.

    Args:
        first: Its weights are taken for a share of 0.
        second: Its weights are taken for a share of 1.
        share: How far to go.
    """
    network = copy.deepcopy(second)
    own = first.state_dict()
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            if weight.is_floating_point():
                weight.copy_(torch.lerp(own[name], weight, share))
    return network


def _keep_back(whole: Sequence[Source], options: AdaptOptions) -> dict[str, list[Source]]:
    """Part the ground of scenes into what teaches, what chooses and what is reported."""
    random = np.random.default_rng((options.seed, 11))
    parts: dict[str, list[Source]] = {"train": [], "validation": [], "test": []}
    shares = {"validation": options.held, "test": options.held}
    for shared in split_ground(whole, options.block_m, shares, random):
        for part in shared:
            parts[part.part].append(part)
    if not parts["test"]:
        names = ", ".join(source.name for source in whole)
        raise OptionError(
            f"{names}: too little ice to keep a part of it back. Give a larger scene or more "
            "outlines, or train with a manifest."
        )
    return parts


def _about(model: Model, whole: Sequence[Source], options: AdaptOptions) -> dict[str, Any]:
    """Return what the card says of the scenes, and of the model that was begun with."""
    own = [source.about["footprint"] for source in whole if "footprint" in source.about]
    return {
        "adapted_from": {"name": model.card.name, "sha256": model.sha256 or None},
        "base": dict(model.card.training),
        "adapt": options.as_record(),
        "scenes": [{"name": source.name, **dict(source.about)} for source in whole],
        "footprints": [*model.card.training.get("footprints", []), *own],
    }


def doubting(doubt: float, precision: Precision) -> Trust:
    """Return what labels count by what the averaged network says of them.

    Args:
        doubt: Labels of a lower probability than this count less, down to a tenth.
        precision: Numbers that the network computes in.
    """

    def trust(batch: Batch, network: nn.Module, done: float) -> Tensor:
        if done < FULL_TRUST:
            return torch.ones(batch.label.shape, device=batch.x.device)
        network.eval()
        x = batch.x.contiguous(memory_format=torch.channels_last)
        with precision.autocast():
            mask = network(Inputs(x, present=batch.present)).mask.float()
        if mask.shape[1] > 1:
            agrees = probability_of_label(mask, batch.label, batch.label < INVALID)
            return (agrees / doubt).clamp(LEAST_TRUST, 1.0)
        p = torch.sigmoid(mask[:, 0])
        agrees = torch.where(batch.label == ICE, p, torch.where(batch.label == OTHER, 1 - p, 1.0))
        return (agrees / doubt).clamp(LEAST_TRUST, 1.0)

    return trust


def _against_forgetting(
    own: Sequence[Source], card: Card, options: AdaptOptions, replay: str | Path | None
) -> list[Source]:
    """Return stored or made scenes, weighted to their share of the patches."""
    if not options.made:
        return []
    if replay is not None:
        samples, about = load_samples(replay)
        check_scaling(about, card, Path(replay).name)
        found = [sample for sample in samples if sample.part == "train"]
    elif ice_is_enough(card.told):
        found = _made(card, own[0].gsd_m, options.seed)
    else:
        warnings.warn(
            f"Made scenes tell ice from other ground, and the network {', '.join(card.classes)}: "
            "it learns from these scenes alone and may forget others. Give --replay samples.npz.",
            GlacierxWarning,
            stacklevel=3,
        )
        return []
    if not found:
        raise OptionError("The sample file of --replay holds no scene to learn from.")

    def known(sources: Sequence[Source]) -> float:
        return sum(survey(source).pixels[1] * source.weight for source in sources)

    share = options.made / (1 - options.made) * known(own) / max(1.0, known(found))
    return [replace(sample, weight=sample.weight * share) for sample in found]


def _made(card: Card, gsd_m: float, seed: int) -> list[Sample]:
    gsd = float(np.clip(gsd_m, *MADE_GSD_M))
    found = []
    with tempfile.TemporaryDirectory(prefix="glacierx-") as folder:
        for number in range(MADE_SCENES):
            options = SimulateOptions(
                size=max(MADE_PX, int(np.ceil(1300 / gsd))), gsd=gsd, vary=True,
                seed=1000 * seed + number + 1,
            )  # fmt: skip
            made = simulate(Path(folder) / str(number), options)
            row = Row(
                str(made.scene), str(made.outlines), layer="glaciers", dem=str(made.dem),
                group="made",
            )  # fmt: skip
            with FileSource(row, card) as source:
                found.append(load_source(source))
    return found


def _train_options(
    model: Model,
    train: Sequence[Source],
    options: AdaptOptions,
    place: Place,
    trust: Trust | None,
    began: float,
) -> TrainOptions:
    """Choose as many epochs as the time allows, from a few steps that are timed."""
    given: dict[str, Any] = {
        "patch_px": options.patch_px, "batch": options.batch, "lr": options.lr,
        "precision": options.precision, "seed": options.seed, "epoch_patches": EPOCH_PATCHES,
        "band_dropout": 0.1, "scale_low": 0.7, "scale_high": 1.5, "metric": METRIC,
    }  # fmt: skip
    trial = TrainOptions(**given, epochs=1)
    learner = Learner(
        copy.deepcopy(model.network),
        model.card,
        train,
        trial,
        # So few that the steps that are timed doubt labels, as most of the run will.
        steps=1 + TIMED_STEPS,
        device=place.device,
        precision=choose_precision(options.precision, place.device),
        trust=trust,
    )
    each = learner.time_step()
    left = options.minutes * 60 - (time.monotonic() - began)
    per_epoch, _ = steps_of(trial)
    epochs = int(np.clip(0.75 * left / (each * per_epoch), FEWEST_EPOCHS, MOST_EPOCHS))
    patience = max(2, round(PATIENCE_SHARE * epochs))
    # Averaged over the last fifth of the run, however short it is.
    ema = max(0.5, 1 - 5 / (epochs * per_epoch))
    return TrainOptions(**given, epochs=epochs, patience=patience, ema=ema)
