"""A whole run: epochs, validation, the best weights, a state to go on from, a card."""

import copy
import hashlib
import json
import re
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glacierx import __version__
from glacierx.errors import GlacierxWarning, ModelError, OutputError
from glacierx.predict.card import Card
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import JOINT
from glacierx.predict.precision import choose_precision
from glacierx.training.draw import survey
from glacierx.training.journal import Journal
from glacierx.training.loop import Learner, Trust, describe, steps_of
from glacierx.training.options import TrainOptions
from glacierx.training.pictures import draw_validation
from glacierx.training.samples import Source
from glacierx.training.state import load_state, read_about, save_state
from glacierx.training.validate import (
    Validation,
    View,
    best_temperature,
    predict_source,
    reliability,
    rounded,
    validate,
)

Progress = Callable[[int, int, str], None]
STATE = "state.safetensors"
PACKAGES = ("torch", "numpy", "scipy", "safetensors")
PICTURES = 4


@dataclass(frozen=True)
class Place:
    """Where and how a run is kept.

    Attributes:
        folder: For the state, the log, curves and pictures; None keeps nothing.
        resume: Go on from the state that the folder holds.
        device: Where the network learns.
        overwrite: Begin anew where the folder holds a run that is not to be gone on with.
    """

    folder: Path | None = None
    resume: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    overwrite: bool = False


def learn(  # noqa: PLR0913 - what a run is made of
    model: Model,
    sources: Sequence[Source],
    options: TrainOptions,
    place: Place = Place(),
    *,
    about: Mapping[str, Any] | None = None,
    trust: Trust | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train a network.

    Args:
        model: Its card and first weights; not changed.
        sources: Scenes; those of the part ``validation`` choose the weights and the temperature.
        options: How it learns.
        place: Where the run is kept, and on which device.
        about: What the card says of the data.
        trust: What each pixel counts; see `glacierx.training.loop.Learner`.
        progress: Called after each epoch.

    Returns:
        The model with the best weights, its temperature and its record in the card.

    Raises:
        OptionError: The network cannot learn from such patches or batches.
        OutlineError: The labels show no ice, or nothing else.
        ModelError: The loss is no number any more, or a state is of another run.
    """
    precision = choose_precision(options.precision, place.device)
    train = [source for source in sources if source.part == "train"]
    held = [source for source in sources if source.part == "validation"]
    per_epoch, steps = steps_of(options)
    learner = Learner(
        copy.deepcopy(model.network),
        model.card,
        train,
        options,
        steps=steps,
        device=place.device,
        precision=precision,
        trust=trust,
    )
    run = _Run(model, learner, held, options, place, identity(model, sources, options))
    run.begin()
    tell = progress or (lambda done, total, what: None)
    while learner.step < steps and not run.is_done():
        until = min(steps, (learner.step // per_epoch + 1) * per_epoch)
        line = run.epoch(until)
        tell(learner.step, steps, line)
    return run.finish(about or {})


class _Run:
    """What a run knows beside its network."""

    def __init__(
        self,
        model: Model,
        learner: Learner,
        held: Sequence[Source],
        options: TrainOptions,
        place: Place,
        identity: str,
    ) -> None:
        self._model, self._learner, self._held = model, learner, held
        self._options, self._place = options, place
        self._view = view_of(model, options, place.device)
        self._identity = identity
        self._journal = Journal(place.folder)
        self._best: dict[str, Any] | None = None
        self._judges = _can_judge(held)
        self._best_network: nn.Module = copy.deepcopy(learner.average)

    def begin(self) -> None:
        """Take up a state, or make the folder of a new run."""
        folder = self._place.folder
        if folder is None:
            return
        state = folder / STATE
        if state.exists() and not self._place.resume:
            if not self._place.overwrite:
                raise OutputError(
                    f"{folder} holds a run already. Go on with --resume, or --overwrite it."
                )
            state.unlink()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
        if state.exists():
            found = read_about(state)["about"]
            if found["identity"] != self._identity:
                raise ModelError(
                    f"{folder} is of a run with other scenes, options or versions. Give those "
                    "again, or delete the folder."
                )
            load_state(state, self._networks(), self._learner.optimizer)
            self._learner.step, self._best = found["step"], found["best"]
            self._learner.scaler.load_state_dict(found["scaler"])
        self._journal.cut(self._learner.step)

    def _networks(self) -> dict[str, nn.Module]:
        return {**self._learner.networks, "best": self._best_network}

    def is_done(self) -> bool:
        """Tell whether patience has run out."""
        patience, best = self._options.patience, self._best
        if not patience or best is None:
            return False
        per_epoch, _ = steps_of(self._options)
        return self._learner.step - int(best["step"]) >= patience * per_epoch

    def epoch(self, until: int) -> str:
        """Learn for an epoch, look at what was learnt, write it down; return a line on it."""
        learner, options = self._learner, self._options
        began = time.monotonic()
        running = learner.run(until)
        row: dict[str, Any] = {"step": learner.step, **describe(running, options)}
        line = f"loss {row['loss']:.3f}, IoU {row['iou']:.3f}"
        if self._held:
            found = validate(learner.average, self._held, self._view)
            value = found.value(options.metric)
            row["validation"] = found.rounded()
            row["value"] = rounded(value, 6)
            line += f", validation {options.metric} {value:.3f}"
            self._choose(value if self._judges and options.take == "best" else None)
        else:
            self._choose(None)
        row["seconds"] = round(time.monotonic() - began, 2)
        self._journal.add(row)
        if self._place.folder is not None:
            save_state(
                self._place.folder / STATE,
                self._networks(),
                learner.optimizer,
                {
                    "identity": self._identity,
                    "step": learner.step,
                    "best": self._best,
                    "scaler": learner.scaler.state_dict(),
                },
            )
        return f"{line}, {row['patches_per_s']:.1f} patches/s"

    def _choose(self, value: float | None) -> None:
        """Keep these weights if they are the best; where nothing can tell, the last ones."""
        if value is not None and value != value:
            value = None
        best = None if self._best is None else self._best["value"]
        if value is None or best is None or value > best:
            self._best = {"step": self._learner.step, "value": value}
            self._keep()

    def _keep(self) -> None:
        self._best_network.load_state_dict(self._learner.average.state_dict())

    def finish(self, about: Mapping[str, Any]) -> Model:
        """Return the best weights with their card."""
        network = self._best_network.eval()
        card = self._model.card
        training: dict[str, Any] = {
            **about,
            "options": self._options.as_record(),
            "precision": self._view.precision.name,
            "versions": versions(),
            "best": self._best,
        }
        card = replace(card, training=training, scores={})
        if self._held:
            card = judged(card, validate(network, self._held, self._view))
            self._draw(network)
        self._journal.write("record.json", {"card": json.loads(card.to_json()), **times()})
        return Model(network.cpu(), card)

    def _draw(self, network: nn.Module) -> None:
        folder = self._place.folder
        if folder is None:
            return
        pictures = folder / "pictures"
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir()
        for number, source in enumerate(self._held[:: max(1, len(self._held) // PICTURES)]):
            logit = predict_source(network, source, self._view)
            # Scenes of several folders can have one name, and a name can hold anything.
            name = re.sub(r"[^\w-]+", "_", str(Path(source.name).with_suffix("")))[:100]
            draw_validation(source, logit, pictures / f"{number}_{name}.png")


def judged(card: Card, found: Validation) -> Card:
    """Return a card with the scores and the temperature that held-out scenes gave."""
    pooled = found.pooled()
    if found.seen is None:
        temperature = best_temperature(pooled)
        reliable = [reliability(pooled), reliability(pooled, temperature)]
    else:
        temperature = found.seen.best_temperature()
        reliable = [found.seen.reliability(), found.seen.reliability(temperature)]
    scores = {
        "validation": found.rounded(),
        "reliability": dict(zip(("before", "after"), reliable, strict=True)),
    }
    return replace(card, temperature=round(temperature, 6), scores=scores)


def _can_judge(held: Sequence[Source]) -> bool:
    """Tell whether held-out scenes can choose weights; warn where they cannot."""
    ice = sum(survey(source).pixels[0] for source in held)
    if not ice:
        found = "The scenes kept for validation show no ice" if held else "No scene is kept back"
        warnings.warn(
            f"{found}: the weights of the last step are taken, whatever they are worth. Keep "
            "scenes with ice for validation.",
            GlacierxWarning,
            stacklevel=4,
        )
    return bool(ice)


def view_of(model: Model, options: TrainOptions, device: torch.device) -> View:
    """Return how held-out scenes are shown: by tiles twice as wide as what is learnt from."""
    stride = int(getattr(model.network, "stride", 1))
    return View(
        model.card.roles,
        -(-2 * options.patch_px // stride) * stride,
        device,
        choose_precision(options.precision, device),
        jointly=model.card.normalisation.kind == JOINT,
        classes=model.card.told,
    )


def versions() -> dict[str, str]:
    """Return the versions that a trained network depends on."""
    found = {"glacierx": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def times() -> dict[str, str]:
    """Say when a record was written."""
    return {"written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def identity(model: Model, sources: Sequence[Source], options: TrainOptions) -> str:
    """Return a digest of everything that a run follows from."""
    digest = hashlib.sha256()
    card = json.loads(model.card.to_json())
    text = json.dumps(
        [card, options.as_record(), versions(), [_facts(source) for source in sources]],
        sort_keys=True,
    )
    digest.update(text.encode())
    for name, value in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _facts(source: Source) -> list[Any]:
    return [
        source.name, list(source.roles), list(source.shape), source.gsd_m, source.part,
        source.group, source.weight, dict(source.about),
    ]  # fmt: skip
