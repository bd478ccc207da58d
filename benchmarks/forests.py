"""What the forest that sees texture gains from each band beside those of a pixel method.

    python benchmarks/forests.py [--data FOLDER]

Fitted to the train folder of the Sentinel-2 patches, scored on the validation folder as
benchmarks/model.py does.
"""

import argparse
import tempfile
from pathlib import Path

from baselines import line_of
from datasets import DATA_SETS, DEFAULT, pairs_of
from model import BLOCK_M
from texture import EXTRA, fit_texture, run_texture

NAME = "sentinel2_debris"


def main() -> None:
    """Print a line for each band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    root = parser.parse_args().data
    data = next(entry for entry in DATA_SETS if entry.name == NAME)
    train, pairs = (pairs_of(data, root, folder) for folder in ("train", "validation"))
    for role in EXTRA:
        forests = fit_texture(data, train, (role,))
        with tempfile.TemporaryDirectory() as folder:
            masks = []
            for at, pair in enumerate(pairs):
                files = {
                    name: (
                        Path(folder) / f"{at}_{number}.tif",
                        Path(folder) / f"{at}_{number}m.tif",
                    )
                    for number, name in enumerate(forests.forests)
                }
                run_texture(forests, pair, data, files)
                masks.append(files[list(files)[-1]][0])
            line = line_of(role, masks, pairs, data, BLOCK_M)
        print(
            f"bands and {role}: IoU {line['iou']:.3f}, balanced accuracy "
            f"{line['balanced_accuracy']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
