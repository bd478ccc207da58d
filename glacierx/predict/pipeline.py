"""A network over a scene: strips are read and patches made ready while the network runs."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from glacierx.predict.ahead import ahead
from glacierx.predict.context import read_context
from glacierx.predict.engine import Engine
from glacierx.predict.planes import Planes
from glacierx.predict.strips import Context, Strip, patch_of, strips
from glacierx.predict.tiling import Span, Tiling
from glacierx.profile import Profile
from glacierx.scene.prediction import NODATA, Rows
from glacierx.scene.scene import Scene
from glacierx.scene.stored import Stored


@dataclass(frozen=True)
class _Batch:
    """Patches of a strip that are ready for the network.

    Attributes:
        strip: Their strip.
        spans: Which patches; none where nothing of the strip is wanted.
        planes: Their planes; None where there are none.
        last: True for the last batch of a strip.
    """

    strip: Strip
    spans: list[Span]
    planes: Planes | None
    last: bool


class Reader:
    """What a run reads of a scene, by one thread at a time.

    Args:
        scene: The scene.
        roles: What the network takes.
        needed: Roles that it cannot do without.
        tiling: How the scene is cut.
        wider: How many times wider a view the network also takes; 0 for none.
        profile: Where the time is noted.
        first_row: Rows above it are not wanted.
    """

    def __init__(  # noqa: PLR0913 - what is read, and how
        self,
        scene: Scene,
        roles: tuple[str, ...],
        needed: tuple[str, ...],
        tiling: Tiling,
        wider: int,
        profile: Profile,
        first_row: int = 0,
    ) -> None:
        self.first_row = first_row
        self._scene = scene
        self._roles = roles
        self._needed = needed
        self._tiling = tiling
        self._wider = wider
        self._profile = profile
        self._lock = Lock()

    def strips(self) -> Iterator[Strip]:
        """Yield full-width rows from top to bottom."""
        made = strips(
            self._tiling, self._rows, self._inside, self._scene.block_rows, self.first_row
        )
        # GDAL's errors become exceptions in threads that have an environment.
        with rasterio.Env():
            while True:
                with self._profile.measure("read"):
                    strip = next(made, None)
                if strip is None:
                    return
                yield strip

    def context(self, strip: Strip, span: Span) -> Context | None:
        """Read a wider view around a patch, if the network takes one."""
        if not self._wider:
            return None
        corner, side = (strip.down.start, span.start), self._tiling.patch_px
        with self._lock, rasterio.Env():
            return read_context(
                self._scene, self._roles, corner, side, self._wider, needed=self._needed
            )

    def _rows(self, first: int, last: int) -> tuple[tuple[Stored, ...], NDArray[np.bool_]]:
        with self._lock:
            return self._scene.read_stored(self._window(first, last), self._roles, self._needed)

    def _inside(self, first: int, last: int) -> NDArray[np.bool_]:
        return self._scene.inside(self._window(first, last))

    def _window(self, first: int, last: int) -> Window:
        return Window(0, first, self._scene.grid.columns, last - first)


def run_network(
    reader: Reader,
    tiling: Tiling,
    engine: Engine,
    classes: int,
    *,
    profile: Profile,
    done: Callable[[int], None] = lambda patches: None,
) -> Generator[Rows, None, None]:
    """Run a network over a scene in memory that grows with its width alone.

    One thread reads, one brings patches to the device, and the caller's runs the network.

    Args:
        reader: Reads the scene.
        tiling: How it is cut.
        engine: The network.
        classes: Planes that it gives.
        profile: Where the time is noted.
        done: Called with the patches that are behind, after each batch.

    Yields:
        Finished rows from top to bottom, each pixel once.
    """
    left = len(tiling.below(reader.first_row))
    behind = (len(tiling.down) - left) * len(tiling.across)
    with (
        _threads_kept(),
        ahead(reader.strips()) as read,
        ahead(_batches(read, reader, tiling, engine, profile), _alone) as batches,
    ):
        rows: Tensor | None = None
        for batch in batches:
            strip = batch.strip
            if rows is None:
                shape = classes, strip.down.last - strip.down.first, tiling.shape[1]
                rows = torch.full(shape, NODATA, dtype=torch.uint8, device=engine.device)
            if batch.planes is not None:
                with profile.measure("network"):
                    steps = engine.steps(batch.planes)
                    if profile.exact:
                        engine.wait()
                with profile.measure("stitch"):
                    for span, found in zip(batch.spans, steps, strict=True):
                        kept = found[:, strip.down.kept, span.kept]
                        rows[:, :, span.first : span.last] = kept
                behind += len(batch.spans)
            if batch.last:
                with profile.measure("stitch"):
                    engine.check()
                    finished = np.asarray(rows.cpu().numpy())
                yield finished, strip.wanted[strip.down.kept]
                behind += sum(not _is_wanted(strip, span) for span in tiling.across)
                rows = None
            done(behind)


def _batches(
    read: Iterator[Strip], reader: Reader, tiling: Tiling, engine: Engine, profile: Profile
) -> Iterator[_Batch]:
    for strip in read:
        todo = [span for span in tiling.across if _is_wanted(strip, span)]
        size = engine.batch
        for first in range(0, max(len(todo), 1), size):
            spans = todo[first : first + size]
            planes = None
            if spans:
                patches = [
                    patch_of(strip, span, tiling.patch_px, reader.context(strip, span))
                    for span in spans
                ]
                with profile.measure("normalise"):
                    planes = engine.feed(patches)
            yield _Batch(strip, spans, planes, first + size >= len(todo))


def _is_wanted(strip: Strip, span: Span) -> bool:
    return bool(strip.wanted[strip.down.kept, span.first : span.last].any())


def _alone() -> None:
    """Keep a thread to one processor; the others are the network's."""
    torch.set_num_threads(1)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Give threads that begin later the caller's number of processors again, not that of `_alone`.

    PyTorch remembers the last number that any thread asked for.
    """
    own = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(own)
