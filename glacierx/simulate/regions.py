"""The glaciers of a coarse grid, grown to the ridges of a finer one."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from glacierx.simulate.landscape import Labels, Landscape

Mask = NDArray[np.bool_]


def marks_of(landscape: Landscape) -> Labels:
    """Return the cores of the glaciers, from which they are grown, 0 elsewhere."""
    coarse = landscape.glacier
    whole = (ndimage.minimum_filter(coarse, 3) == ndimage.maximum_filter(coarse, 3)) & (coarse > 0)
    has_core = np.isin(coarse, np.unique(coarse[whole]))
    return np.where(whole | ~has_core, coarse, 0)


def grow_labels(
    marks: NDArray[np.int32],
    heights: NDArray[np.floating],
    ice: Mask,
    *,
    cut: bool = False,
) -> Labels:
    """Grow glaciers up to the ridges between them.

    Args:
        marks: Their cores.
        heights: Heights in metres.
        ice: True where there is ice.
        cut: What the frame cuts off may be joined beyond it.
    """
    label = _flooded(heights, np.where(ice, marks, 0), ice)
    # What has come off its glacier goes to the neighbour, or melts.
    for index, window in enumerate(ndimage.find_objects(label), 1):
        if window is not None:
            part, count = ndimage.label(label[window] == index)
            if count > 1:
                kept = np.zeros(count + 1, bool)
                kept[0] = True
                kept[np.bincount(part.ravel())[1:].argmax() + 1] = True
                if cut:
                    kept[_at_frame(part, window, label.shape)] = True
                label[window][~kept[part]] = 0
    return np.asarray(_flooded(heights, label, ice), np.int64)


def _flooded(
    heights: NDArray[np.floating], marks: NDArray[np.int32], ice: Mask
) -> NDArray[np.int32]:
    """Flood from marks; their insides, most of the ice, flow nowhere and cost nothing."""
    cross = ndimage.generate_binary_structure(2, 1)
    inside = (marks > 0) & (
        ndimage.minimum_filter(marks, footprint=cross)
        == ndimage.maximum_filter(marks, footprint=cross)
    )
    label = watershed(heights, np.where(inside, 0, marks), mask=ice & ~inside)
    return np.where(inside, marks, label).astype(np.int32)


def _at_frame(
    part: NDArray[np.int32], window: tuple[slice, slice], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Return the parts that touch the frame."""
    touching = []
    if window[0].start == 0:
        touching.append(part[0])
    if window[0].stop == shape[0]:
        touching.append(part[-1])
    if window[1].start == 0:
        touching.append(part[:, 0])
    if window[1].stop == shape[1]:
        touching.append(part[:, -1])
    return np.unique(np.concatenate(touching)) if touching else np.zeros(0, np.int32)
