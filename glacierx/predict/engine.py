"""Runs a network fast: device, views, batches."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glacierx.errors import ModelError, OptionError
from glacierx.networks.layers import Inputs
from glacierx.predict.device import choose_device
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import Normaliser
from glacierx.predict.tiling import Patch
from glacierx.predict.tta import VIEWS, turn, turn_back


class Engine:
    """A model ready to run on a device.

    Args:
        model: The model.
        normaliser: Its normalisation, made ready for the scene.
        present: For each role of the card, whether the scene has it.
        tta: Name of the set of views that are averaged.
        device: Name of the device.

    Attributes:
        views: How many views are averaged.
        patches_run: How many patches have gone through.
    """

    def __init__(
        self,
        model: Model,
        normaliser: Normaliser,
        present: Sequence[bool],
        *,
        tta: str = "none",
        device: str = "auto",
    ) -> None:
        self._device = choose_device(device)
        self._card = model.card
        self._network = model.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks the format with a device
        self._network.eval()
        self._normaliser = normaliser
        self._slots = np.flatnonzero(present)
        self._present = torch.tensor(present, dtype=torch.float32, device=self._device)
        self._views = VIEWS[tta]
        self.views = len(self._views)
        self.patches_run = 0

    def run(self, patches: Sequence[Patch]) -> NDArray[np.float32]:
        """Return probabilities (patches, classes, rows, columns), averaged over the views.

        Eq. 7 of Chu et al. 2022: the mean of the probabilities, not of the logits.
        """
        self.patches_run += len(patches)
        x = self._planes([(patch.values, patch.valid) for patch in patches])
        contexts = [patch.context for patch in patches if patch.context is not None]
        context = self._planes(contexts) if contexts else None
        with torch.inference_mode():
            total: Tensor | None = None
            for view in self._views:
                seen = turn_back(self._probability(turn(x, view), context, view), view)
                total = seen if total is None else total + seen
            if total is None:
                raise OptionError("No views to average over.")
            mean = total / len(self._views)
            if not bool(torch.isfinite(mean).all()):
                raise ModelError(
                    f"The model {self._card.name} gives numbers that are not finite. Its weights "
                    "or its card are damaged; get it again, or choose another --model."
                )
            return np.asarray(mean.cpu().numpy(), np.float32)

    def _probability(self, x: Tensor, context: Tensor | None, view: tuple[int, bool]) -> Tensor:
        inputs = Inputs(
            x.contiguous(memory_format=torch.channels_last),
            present=self._present.expand(len(x), -1),
            context=None if context is None else turn(context, view),
        )
        logits = self._network(inputs).mask.float() / self._card.temperature
        if len(self._card.classes) == 1:
            return torch.sigmoid(logits)
        return torch.softmax(logits, dim=1)

    def _planes(self, pixels: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> Tensor:
        """Normalise pixels and put each role into its slot; absent roles stay zero."""
        rows, columns = pixels[0][1].shape
        planes = np.zeros((len(pixels), len(self._present), rows, columns), np.float32)
        for plane, (values, valid) in zip(planes, pixels, strict=True):
            plane[self._slots] = self._normaliser(values, valid)
        return torch.from_numpy(planes).to(self._device)
