"""A network learns: draw, change, look, compare, step; the same from the same seed."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from glacierx.errors import ModelError, OptionError
from glacierx.networks.layers import Inputs
from glacierx.predict.card import Card
from glacierx.predict.normalise import JOINT
from glacierx.predict.precision import Precision
from glacierx.training.augment import Augmenter, Batch, resized
from glacierx.training.draw import Sampler
from glacierx.training.heads import logit_of_ice
from glacierx.training.losses import loss_of
from glacierx.training.options import TrainOptions
from glacierx.training.samples import INVALID, Labels, Source, Values, ice_labels
from glacierx.training.schedule import learning_rate
from glacierx.training.terms import parse_weights
from glacierx.training.validate import joint_minmax, planes_of

TIMED_STEPS = 3
Window = tuple[Values, Labels, NDArray[np.float32]]
Trust = Callable[[Batch, nn.Module, float], Tensor]
"""Say what each pixel of a batch counts (batch, rows, columns), 0 to 1, by the averaged network
and the share of the run that is done."""


@dataclass
class Running:
    """What was seen since the last validation.

    Attributes:
        loss: Sum of the losses of all batches.
        batches: How many batches.
        counts: Pixels that are ice in both, in the network's mask or in the label.
        seconds: Time taken.
    """

    loss: float = 0.0
    batches: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float:
        """The mean loss of a batch."""
        return self.loss / max(1, self.batches)

    @property
    def iou(self) -> float:
        """IoU with the labels, on patches as they were changed."""
        return float(self.counts[0] / max(1, self.counts[1]))


class Learner:
    """A network, its average and its optimiser at some step.

    Args:
        network: The network, whose weights are changed.
        card: What its planes are.
        sources: What it learns from.
        options: How it learns.
        steps: Steps of the whole run.
        device: Where it learns.
        precision: In which numbers.
        trust: What each pixel counts, if not all the same.

    Attributes:
        step: Steps taken.
        average: The network with averaged weights; the network itself where none are averaged.
    """

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        network: nn.Module,
        card: Card,
        sources: Sequence[Source],
        options: TrainOptions,
        *,
        steps: int,
        device: torch.device,
        precision: Precision,
        trust: Trust | None = None,
    ) -> None:
        check_network(network, options)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks the format with a device
        self._card, self._options, self._steps = card, options, steps
        self._device, self._precision, self._trust = device, precision, trust
        self._sources = list(sources)
        self._class_weights = parse_weights(options.class_weights)
        self._is_ice = torch.zeros(256, dtype=torch.bool, device=device)
        self._is_ice[list(ice_labels(card.told))] = True
        self.sampler = Sampler(self._sources, options)
        optional = [slot.role for slot in card.inputs if not slot.required]
        self._augment = Augmenter(
            card.roles, options.augment, options.band_dropout, optional,
            z_scored=card.normalisation.kind == "fixed",
        )  # fmt: skip
        self.optimizer = optimizer_of(self.network, options, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision.name == "fp16")
        self._ema: AveragedModel | None = None
        if options.ema:
            self._ema = AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(options.ema),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
        self.step = 0

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights."""
        return self.network if self._ema is None else self._ema.module

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Everything with weights that a state must hold."""
        return {"network": self.network, **({"average": self._ema} if self._ema else {})}

    def time_step(self) -> float:
        """Take a few steps and return the seconds of one; the first is not counted."""
        self.run(self.step + 1)
        return self.run(self.step + TIMED_STEPS).seconds / TIMED_STEPS

    def run(self, until: int) -> Running:
        """Take steps up to step *until*.

        Raises:
            ModelError: The loss is no number any more.
        """
        # Whoever calls keeps their own random numbers.
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            return self._run(until)

    def _run(self, until: int) -> Running:
        options, running = self._options, Running()
        began = time.monotonic()
        per_step = options.batch * options.accumulate
        self.network.train()
        for windows in self._ahead(self.step, until):
            rate = learning_rate(options, self.step, self._steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            # Dropout and augmentation follow from seed and step, so that a run can be cut anywhere.
            number = (options.seed * 1_000_003 + self.step) % 2**31
            torch.manual_seed(number)
            random = torch.Generator(self._device).manual_seed(number)
            for first in range(0, per_step, options.batch):
                self._learn(windows[first : first + options.batch], random, running)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
            if self._ema is not None:
                self._ema.update_parameters(self.network)
            self.step += 1
        running.seconds = time.monotonic() - began
        return running

    def _learn(self, windows: Sequence[Window], random: torch.Generator, running: Running) -> None:
        with torch.no_grad():
            batch = self._augment(self._batch(windows), random)
            weight = (batch.label < INVALID).float()
            ice = self._is_ice[batch.label.long()]
            # One plane is of ice; several are told the number of the class.
            target = ice.float() if len(self._card.classes) == 1 else batch.label
            if self._trust is not None:
                weight = weight * self._trust(batch, self.average, self.step / self._steps)
        x = batch.x.contiguous(memory_format=torch.channels_last)
        with self._precision.autocast():
            mask = self.network(Inputs(x, present=batch.present)).mask
        loss = loss_of(
            self._options.loss,
            mask[:, 0] if len(self._card.classes) == 1 else mask,
            target,
            weight,
            gamma=self._options.focal_gamma,
            smoothing=self._options.label_smoothing,
            class_weights=self._class_weights,
        )
        self.scaler.scale(loss / self._options.accumulate).backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not np.isfinite(value):
            raise ModelError(
                f"The loss became {value} at step {self.step}. Give a smaller --lr, or "
                "--precision fp32."
            )
        running.loss += value
        running.batches += 1
        found = logit_of_ice(mask.detach(), self._card.told.numbers) > 0
        known = weight > 0
        running.counts += [
            int((found & ice & known).sum()),
            int(((found | ice) & known).sum()),
        ]

    def _batch(self, windows: Sequence[Window]) -> Batch:
        side = self._options.patch_px
        parts = [
            resized(
                torch.from_numpy(values).to(self._device),
                torch.from_numpy(label).to(self._device),
                side,
            )
            for values, label, _ in windows
        ]
        x = torch.stack([values for values, _ in parts])
        label = torch.stack([label for _, label in parts])
        present = torch.from_numpy(np.stack([told for *_, told in windows])).to(self._device)
        if self._card.normalisation.kind == JOINT:
            x = joint_minmax(x, present, label)
        return Batch(x, present, label)

    def _ahead(self, first: int, last: int) -> Iterator[list[Window]]:
        """Yield the windows of each step, read while the step before is taken."""
        with ThreadPoolExecutor(1) as reader:
            waiting: Future[list[Window]] | None = None
            for step in range(first, last):
                now = waiting or reader.submit(self._windows, step)
                waiting = reader.submit(self._windows, step + 1) if step + 1 < last else None
                yield now.result()

    def _windows(self, step: int) -> list[Window]:
        random = np.random.default_rng((self._options.seed, step))
        found = []
        for _ in range(self._options.batch * self._options.accumulate):
            draw = self.sampler.draw(random)
            source = self._sources[draw.source]
            values, label = source.read(draw.top, draw.left, draw.side, draw.side)
            planes, present = planes_of(values, source.roles, self._card.roles)
            found.append((planes, label, present))
        return found


def optimizer_of(network: nn.Module, options: TrainOptions, device: torch.device) -> Optimizer:
    """Return what takes the steps.

    ``adamw``: Loshchilov and Hutter 2019, arXiv:1711.05101. ``adam``: Kingma and Ba 2015,
    arXiv:1412.6980. ``sgd``: with momentum, Nesterov's where it is asked for (Sutskever et al.
    2013).
    """
    rate, decay = options.lr, options.weight_decay
    if options.optimiser == "sgd":
        return SGD(
            network.parameters(),
            lr=rate,
            weight_decay=decay,
            momentum=options.momentum,
            nesterov=options.nesterov,
        )
    kind = Adam if options.optimiser == "adam" else AdamW
    fused = device.type in ("cpu", "cuda")
    return kind(network.parameters(), lr=rate, weight_decay=decay, fused=fused)


def check_network(network: nn.Module, options: TrainOptions) -> None:
    """Refuse patches and batches that a network cannot learn from.

    Raises:
        OptionError: Its stride does not divide the patch, or it needs more than one patch at once.
    """
    stride = int(getattr(network, "stride", 1))
    if options.patch_px % stride:
        padded = -(-options.patch_px // stride) * stride
        raise OptionError(
            f"--patch-px {options.patch_px} is not divisible by the network's stride of {stride}. "
            f"Give {padded}."
        )
    norms = any(isinstance(part, _BatchNorm) for part in network.modules())
    if options.batch == 1 and norms:
        raise OptionError(
            "--batch 1 gives batch normalisation nothing to compare. Give 2 or more, and a smaller "
            "--patch-px if memory is short."
        )


def steps_of(options: TrainOptions) -> tuple[int, int]:
    """Return the steps of an epoch and of the whole run."""
    epoch = max(1, round(options.epoch_patches / (options.batch * options.accumulate)))
    return epoch, epoch * options.epochs


def describe(running: Running, options: TrainOptions) -> dict[str, Any]:
    """Return what a log says of the steps since the last validation."""
    patches = running.batches * options.batch
    return {
        "loss": round(running.mean_loss, 6),
        "iou": round(running.iou, 6),
        "patches_per_s": round(patches / max(1e-9, running.seconds), 3),
    }
