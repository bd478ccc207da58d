"""Every tunable of training: default, range, help; see `glacierx.options`."""

import re
from dataclasses import dataclass

from glacierx.errors import OptionError
from glacierx.options import Options, option
from glacierx.training.terms import parse_loss, parse_weights

SPLITS = ("auto", "manifest", "region", "scene", "block", "random-patches")
MOST_FOLDS = 100


@dataclass(frozen=True)
class TrainOptions(Options):
    """How a network learns."""

    patch_px: int = option(256, "Side of a patch in pixels.", low=32, high=4096)
    batch: int = option(8, "Patches that go through the network at once.", low=1, high=4096)
    accumulate: int = option(1, "Batches whose gradients make one step.", low=1, high=1024)
    epochs: int = option(40, "Times that --epoch-patches are drawn.", low=1, high=100000)
    epoch_patches: int = option(1000, "Patches between two validations.", low=1, high=10000000)
    lr: float = option(1e-3, "Learning rate; the highest of a schedule.", low=1e-8, high=1)
    lr_min: float = option(1e-6, "Learning rate at the end of a schedule.", low=0, high=1)
    optimiser: str = option("adamw", "What takes the steps.", choices=("adamw", "adam", "sgd"))
    momentum: float = option(
        0.9, "Share of the step before that a step of SGD keeps.", low=0, high=0.999
    )
    nesterov: bool = option(False, "Look ahead with Nesterov's momentum in SGD.")
    weight_decay: float = option(
        1e-2,
        "Weight decay: of the weights in AdamW, of the gradient in Adam and SGD.",
        low=0,
        high=1,
    )
    schedule: str = option(
        "one-cycle",
        "How the learning rate changes.",
        choices=("one-cycle", "cosine", "cosine-restarts", "constant", "multistep", "poly"),
    )
    milestones: str = option(
        "20,30", "Epochs after which multistep lowers the learning rate, as 20,30."
    )
    milestone_factor: float = option(
        0.1, "What multistep lowers the learning rate by.", low=1e-6, high=1
    )
    poly_power: float = option(
        0.9, "Exponent of poly, which goes down to --lr-min.", low=0.01, high=10
    )
    restart_epochs: int = option(2, "Epochs before the first restart.", low=1)
    restart_factor: int = option(2, "Each cycle is so many times the one before.", low=1)
    loss: str = option(
        "bce-dice",
        "What is made small: bce, ce, weighted-bce, weighted-ce, focal, dice, log-jaccard, such a "
        "pair as bce-dice, or a sum such as 0.7*focal+0.3*dice.",
    )
    focal_gamma: float = option(2.0, "Exponent of the focal loss.", low=0, high=10)
    label_smoothing: float = option(
        0.0, "Share of a label that goes to all classes alike, in entropies.", low=0, high=0.9
    )
    class_weights: str | None = option(
        None,
        "What the classes count in weighted-ce, as 1,4,2; for one class that of no ice and of ice "
        "[default: by rarity].",
    )
    ema: float = option(
        0.998, "Share of the averaged weights that a step keeps; 0 averages none.", low=0, high=1
    )
    precision: str = option(
        "auto",
        "Numbers that the network computes in; auto is bf16 where the device has it.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    metric: str = option(
        "iou",
        "What chooses the best weights: the mean over groups of scenes of this score.",
        choices=("iou", "balanced-accuracy", "dice", "mean-iou"),
    )
    patience: int = option(
        0, "Stop when so many epochs bring no better score; 0 never stops.", low=0
    )
    take: str = option(
        "best",
        "Which weights the model has: those of the best epoch, or the last.",
        choices=("best", "last"),
    )
    share_low: float = option(0.01, "Least share of glacier in a patch.", low=0, high=1)
    share_high: float = option(0.99, "Largest share of glacier in a patch.", low=0, high=1)
    background: float = option(0.1, "Share of patches without glacier.", low=0, high=1)
    scale_low: float = option(0.5, "Smallest window that a patch shows, in patches.", low=0.1)
    scale_high: float = option(2.0, "Largest window that a patch shows, in patches.", low=0.1)
    augment: str = option(
        "full",
        "What is changed in a patch: light, sensor, gaps and views; views alone; nothing.",
        choices=("full", "flips", "none"),
    )
    band_dropout: float = option(
        0.5, "Chance that a patch loses bands that are optional to the model.", low=0, high=1
    )
    seed: int = option(0, "Number that all random choices follow from.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_loss(self.loss)
        parse_weights(self.class_weights)
        for low, high in (("share_low", "share_high"), ("scale_low", "scale_high")):
            if getattr(self, low) > getattr(self, high):
                flags = (f"--{name.replace('_', '-')}" for name in (low, high))
                raise OptionError(f"{' is above '.join(flags)}. Give the smaller number first.")
        if self.nesterov and not self.momentum:
            raise OptionError("--nesterov needs a --momentum above 0.")
        if not self.milestone_epochs or sorted(set(self.milestone_epochs)) != list(
            self.milestone_epochs
        ):
            raise OptionError(
                f"--milestones is {self.milestones[:40]!r}. It takes epochs in order, as 20,30."
            )

    @property
    def milestone_epochs(self) -> tuple[int, ...]:
        """The epochs of --milestones; none where they are no whole numbers."""
        parts = [part.strip() for part in self.milestones.split(",")]
        return tuple(map(int, parts)) if all(re.fullmatch("[0-9]{1,6}", p) for p in parts) else ()


@dataclass(frozen=True)
class SplitOptions(Options):
    """What labelled scenes are good for: what is left out, and what is kept from a network."""

    ignore_border_m: float = option(
        0.0, "Leave out a belt of this width on both sides of outlines.", low=0
    )
    split: str = option(
        "auto",
        "What is kept back: manifest, region, scene, block, random-patches, folds:K or "
        "folds-area:K; auto is the manifest's column split, else regions, else scenes, else blocks "
        "of a scene.",
    )
    fold: int = option(1, "Which of K folds is held out, from 1.", low=1, high=100)
    validation_share: float = option(
        0.2,
        "Share of scenes, regions or blocks that is kept for validation; of what folds leave.",
        low=0.01,
        high=0.9,
    )
    block_m: float = option(5000.0, "Side of a block in metres.", low=10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLITS and not self.folds:
            raise OptionError(
                f"--split is {self.split[:40]!r}. It takes one of: {', '.join(SPLITS)}, or folds:5 "
                "and folds-area:5 with a number from 2 to 100."
            )
        if self.folds and self.fold > self.folds:
            raise OptionError(f"--fold {self.fold} is not one of the {self.folds} of --split.")

    @property
    def folds(self) -> int:
        """The number of folds; 0 where it is split in another way."""
        found = re.fullmatch("folds(?:-area)?:([0-9]{1,3})", self.split)
        count = int(found[1]) if found else 0
        return count if 2 <= count <= MOST_FOLDS else 0

    @property
    def by_area(self) -> bool:
        """Whether glaciers from west to east are cut into folds by their area."""
        return bool(self.folds) and self.split.startswith("folds-area:")


@dataclass(frozen=True)
class AdaptOptions(Options):
    """How a model is adapted to a user's own scenes and an inventory that may be old."""

    minutes: float = option(10.0, "Time to learn in.", low=0.1, high=100000)
    ignore_border_px: float = option(
        2.0, "Leave out a belt of so many pixels on both sides of outlines.", low=0, high=100
    )
    held: float = option(
        0.15,
        "Share of the ground that chooses the weights, and again to report by.",
        low=0.02,
        high=0.4,
    )
    block_m: float = option(2000.0, "Side of the blocks that are kept back, in metres.", low=10)
    doubt: float = option(
        0.2,
        "Labels that the model gives less than this probability count less; 0 trusts all.",
        low=0,
        high=0.5,
    )
    made: float = option(
        0.2, "Share of patches of made scenes, against forgetting.", low=0, high=0.9
    )
    lr: float = option(3e-4, "Highest learning rate.", low=1e-8, high=1)
    patch_px: int = option(256, "Side of a patch in pixels.", low=32, high=4096)
    batch: int = option(8, "Patches that go through the network at once.", low=1, high=4096)
    precision: str = option(
        "auto",
        "Numbers that the network computes in; auto is bf16 where the device has it.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    seed: int = option(0, "Number that all random choices follow from.", low=0)
