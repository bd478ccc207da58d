"""Runs a network fast: views, batches, and steps of probability found on the device."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from glacierx.errors import ModelError
from glacierx.networks.layers import Inputs
from glacierx.options import EngineOptions
from glacierx.predict.backend import make_forward, resolve
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import Normaliser
from glacierx.predict.planes import Feeder, Planes
from glacierx.predict.tta import turn_back, turn_planes, views_of
from glacierx.scene.prediction import STEP, STEPS

# More patches at once than this gain nothing on any device.
MOST = 32
# Share of a GPU's free memory that a batch may take.
SHARE = 0.8


class Engine:
    """A model ready to run on a device.

    Args:
        model: The model.
        normaliser: Its normalisation, made ready for the scene.
        present: For each role of the card, whether the scene has it.
        tta: Name of the set of views that are averaged.
        options: Device, backend, precision and batch.
        patch_px: Side of the patches.
        across: Patches that lie beside each other in the scene; a batch takes no more.

    Attributes:
        views: How many views are averaged.
        batch: Patches that go through the network at once; fewer once memory ran out.
        device: Where it runs.
        patches_run: How many patches have gone through.
    """

    def __init__(  # noqa: PLR0913 - what a network is run with
        self,
        model: Model,
        normaliser: Normaliser,
        present: Sequence[bool],
        *,
        tta: str = "none",
        options: EngineOptions = EngineOptions(),
        patch_px: int = 1024,
        across: int = 1,
    ) -> None:
        options = resolve(options)
        card = model.card
        self._card = card
        self.device = torch.device(options.device)
        there = [role for role, has in zip(card.roles, present, strict=True) if has]
        self.feed = Feeder(card.roles, there, normaliser, self.device)
        self._present = torch.tensor(present, dtype=torch.float32, device=self.device)
        self._views = views_of(tta, there)
        self.views = len(self._views)
        self.batch = options.batch or 1
        shape = (self.batch, len(card.roles), patch_px, patch_px)
        self._forward = make_forward(model.network, options, shape, context=bool(card.context))
        self.patches_run = 0
        self._finite: Tensor | None = None
        if options.batch is None and self.device.type == "cuda":
            self.batch = balanced(self._largest(patch_px), across)

    @torch.inference_mode()
    def steps(self, planes: Planes) -> Tensor:
        """Return steps of probability (patches, classes, rows, columns), uint8 on the device.

        Call `check` before they are used.
        """
        mean = self.probability(planes)
        self.patches_run += len(planes.x)
        finite = torch.isfinite(mean).all()
        self._finite = finite if self._finite is None else self._finite & finite
        return mean.div_(STEP).round_().clamp_(0, STEPS).to(torch.uint8)

    def wait(self) -> None:
        """Wait until a GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def check(self) -> None:
        """Refuse what was found since the last call if a number in it was not finite.

        Raises:
            ModelError: The model's weights or its card are damaged.
        """
        finite, self._finite = self._finite, None
        if finite is not None and not bool(finite):
            raise ModelError(
                f"The model {self._card.name} gives numbers that are not finite. Its weights "
                "or its card are damaged; get it again, or choose another --model."
            )

    @torch.inference_mode()
    def probability(self, planes: Planes) -> Tensor:
        """Return probabilities (patches, classes, rows, columns), averaged over the views.

        Eq. 7 of Chu et al. 2022: the mean of the probabilities, not of the logits.

        Raises:
            MemoryError: One patch takes more memory than there is.
        """
        if planes.ready is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(planes.ready)
            for part in (planes.x, planes.context):
                if part is not None:
                    part.record_stream(stream)
        while True:
            try:
                return self._batches(planes)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self.batch == 1:
                    raise MemoryError(
                        "One patch takes more memory than there is. Give a smaller --patch-px, "
                        "--precision bf16, or --device cpu."
                    ) from None
            self.batch = -(-self.batch // 2)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _batches(self, planes: Planes) -> Tensor:
        """Run so many patches at once; a batch that is not full is filled with zeros.

        The shape that the network sees is always the same, so that it is compiled once and a
        patch gives the same bits wherever it stands.
        """
        found = []
        for first in range(0, len(planes.x), self.batch):
            own = slice(first, first + self.batch)
            x = _filled(planes.x[own], self.batch)
            wider = None if planes.context is None else _filled(planes.context[own], self.batch)
            found.append(self._mean(x, wider)[: len(planes.x[own])])
        return found[0] if len(found) == 1 else torch.cat(found)

    def _mean(self, x: Tensor, context: Tensor | None) -> Tensor:
        total: Tensor | None = None
        for view in self._views:
            inputs = Inputs(
                turn_planes(x, view, self._card.roles),
                present=self._present.expand(len(x), -1),
                context=None if context is None else turn_planes(context, view, self._card.roles),
            )
            seen = turn_back(self._probability(inputs), view)
            total = seen if total is None else total.add_(seen)
        assert total is not None
        return total.div_(len(self._views))

    def _probability(self, inputs: Inputs) -> Tensor:
        logits = self._forward(inputs) / self._card.temperature
        if len(self._card.classes) == 1:
            return torch.sigmoid(logits)
        return torch.softmax(logits, dim=1)

    @torch.inference_mode()
    def _largest(self, patch_px: int) -> int:
        """Return how many patches fit into the free memory of the GPU, by running one."""
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        channels = len(self._card.roles)
        x = torch.zeros(1, channels, patch_px, patch_px, device=self.device)
        self._mean(x, torch.zeros_like(x) if self._card.context else None)
        torch.cuda.synchronize(self.device)
        used = torch.cuda.max_memory_allocated(self.device) - before
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(1, min(MOST, int(SHARE * free / max(used, 1))))


def balanced(most: int, across: int) -> int:
    """Return a batch of at most *most* patches that fills itself best from rows of *across*."""
    return math.ceil(across / math.ceil(across / most))


def _filled(x: Tensor, batch: int) -> Tensor:
    missing = batch - len(x)
    return x if missing == 0 else torch.cat([x, x.new_zeros(missing, *x.shape[1:])])


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out; on a CPU PyTorch has no class for it."""
    text = str(error).lower()
    named = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return named or "not enough memory" in text or "can't allocate memory" in text
