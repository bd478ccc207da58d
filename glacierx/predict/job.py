"""What is predicted, from what, and how; and what a run record says of it."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.backend import OPENVINO, resolve
from glacierx.predict.classic import PixelMethod
from glacierx.predict.engine import Engine
from glacierx.predict.modelfile import Model
from glacierx.predict.pipeline import Reader
from glacierx.predict.sample import fit_normaliser
from glacierx.predict.tiling import Tiling
from glacierx.predict.tta import VIEWS, views_of
from glacierx.profile import Profile
from glacierx.scene.provenance import versions
from glacierx.scene.scene import Scene


@dataclass(frozen=True)
class Job:
    """A scene, what predicts it, and how.

    Attributes:
        scene: The scene.
        model: The model or pixel method.
        options: Views and patches.
        engine: Device, backend, precision and batch.
        profile: Where the time is noted.
    """

    scene: Scene
    model: Model | PixelMethod
    options: PredictOptions
    engine: EngineOptions
    profile: Profile

    @property
    def network(self) -> Model:
        """The model, of which the rest is asked only where it is a network."""
        assert isinstance(self.model, Model)
        return self.model

    @property
    def roles(self) -> tuple[str, ...]:
        """What of the scene a network takes."""
        return tuple(role for role in self.network.card.roles if role in self.scene.available)

    @cached_property
    def tiling(self) -> Tiling:
        """How the scene is cut for a network."""
        patch_px = self.options.patch_px or self.network.card.patch_px
        return Tiling(self.scene.grid.shape, patch_px, self.options.keep)

    @property
    def tta(self) -> str:
        """Name of the views that are averaged."""
        return self.options.tta or self.network.card.tta

    @cached_property
    def passes(self) -> int:
        """How often a patch goes through the network, at most."""
        return self.tiling.patches * len(views_of(self.tta, self.roles))

    @cached_property
    def resolved(self) -> EngineOptions:
        """What the network runs on here."""
        return resolve(self.engine, self.passes)

    def make_engine(self, batch: int | None = None) -> Engine:
        """Make the network ready for the scene, to take so many patches at once."""
        card = self.network.card
        check_patch(self.network, self.tiling.patch_px)
        shown, asked = len(views_of(self.tta, self.roles)), len(VIEWS[self.tta])
        if shown < asked:
            warnings.warn(
                f"{card.name} takes one part of the aspect alone, so it is shown no quarter turns: "
                f"--tta {self.tta} averages {shown} views and not {asked}.",
                GlacierxWarning,
                stacklevel=2,
            )
        with self.profile.measure("normalise"):
            normaliser = fit_normaliser(card.normalisation, self.scene, card.roles)
        return Engine(
            self.network,
            normaliser,
            [role in self.scene.available for role in card.roles],
            tta=self.tta,
            options=replace(self.resolved, batch=batch or self.resolved.batch),
            patch_px=self.tiling.patch_px,
            across=len(self.tiling.across),
        )

    def reader(self, first_row: int = 0) -> Reader:
        """Return what reads the scene for the network, from a row on."""
        wider = self.network.card.context
        needed = self.network.card.needed
        return Reader(self.scene, self.roles, needed, self.tiling, wider, self.profile, first_row)


def make_record(job: Job, *, always_hash: bool = False) -> dict[str, Any]:
    """Say what is predicted, from what and with which versions, without paths or times."""
    scene, model = job.scene, job.model
    served = scene.from_dem(model.card.roles) if isinstance(model, Model) else ()
    terrain: dict[str, Any] = {}
    if served and scene.dem is not None:
        source = scene.dem.describe(always_hash=always_hash)
        terrain = {"terrain": {"roles": list(served), "dem": source}}
    return {
        "scene": scene.describe(always_hash=always_hash),
        **terrain,
        "inputs": scene.fingerprints(always_hash=always_hash),
        "model": model.describe(),
        "options": {"predict": _effective(job)},
        "versions": _versions(job),
    }


def _versions(job: Job) -> dict[str, str]:
    if not isinstance(job.model, Model):
        return versions()
    return versions("torch", *([OPENVINO] if job.resolved.backend == OPENVINO else []))


def _effective(job: Job) -> dict[str, Any]:
    """Return the options that change the result, with the card's where none were given.

    Raises:
        OptionError: An option is given that the model does not take.
    """
    options, model = job.options, job.model
    if not isinstance(model, Model):
        return {"median": options.median}
    if options.median:
        raise OptionError(
            f"--median is for pixel methods, and {model.name} is a network, which sees the "
            "neighbours itself. Leave it out."
        )
    engine = job.resolved
    return {
        "tta": job.tta,
        "patch_px": job.tiling.patch_px,
        "keep": options.keep,
        "device": engine.device.partition(":")[0],
        "backend": engine.backend,
        "precision": engine.precision,
        **({"compile": True} if engine.compile else {}),
    }


def check_patch(model: Model, patch_px: int) -> None:
    """Refuse a side of patches that the network's strides do not divide.

    Raises:
        OptionError: It is not a multiple of the network's stride.
    """
    stride = getattr(model.network, "stride", 1)
    if patch_px % stride:
        below = patch_px // stride * stride
        raise OptionError(
            f"--patch-px is {patch_px} and {model.card.architecture} takes multiples of {stride}, "
            f"such as {below or stride} or {below + stride}."
        )
