"""Train from a sample file where only torch, numpy, scipy, scikit-image and safetensors are.

    python -m glacierx.training samples.npz -o model.safetensors

The flags are those of glacierx train that do not speak of scenes.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch

from glacierx.errors import INTERRUPTED, OUT_OF_MEMORY, GlacierxError, GlacierxWarning
from glacierx.predict.device import choose_device
from glacierx.predict.memory import keep_memory
from glacierx.predict.modelfile import (
    build_model,
    check_model_path,
    load_network,
    save_network,
)
from glacierx.scene.staging import check_free
from glacierx.training.options import TrainOptions
from glacierx.training.preset import load_preset, presets, with_classes
from glacierx.training.run import Place
from glacierx.training.train import estimate, open_data, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    given = vars(_parser().parse_args(arguments))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", GlacierxWarning)
            warnings.showwarning = _show_warning
            _run(given)
    except GlacierxError as error:
        return _failed(str(error), error.exit_code)
    except (MemoryError, torch.OutOfMemoryError):
        return _failed(
            "Memory ran out. Give a smaller --patch-px or --batch, or --device cpu.", OUT_OF_MEMORY
        )
    except KeyboardInterrupt:
        return _failed("Interrupted. Go on with --resume.", INTERRUPTED)
    return 0


def _failed(text: str, exit_code: int) -> int:
    sys.stderr.write(f"Error: {' '.join(text.split())}\n")
    return exit_code


def _show_warning(message: Any, *args: Any, **kwargs: Any) -> None:
    sys.stderr.write(f"Warning: {' '.join(str(message).split())}\n")


def _run(given: dict[str, object]) -> None:
    data, output = Path(str(given["data"])), Path(str(given["output"]))
    check_model_path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    check_free(output, overwrite=bool(given["overwrite"]))
    preset = load_preset(str(given["preset"]))
    names = {declared.name for declared in fields(TrainOptions)}
    options = preset.train_options(
        **{name: value for name, value in given.items() if name in names and value is not None}
    )
    model = (
        load_network(Path(str(given["init"])))
        if given["init"]
        else build_model(with_classes(preset.card, *_classes(given)), options.seed)
    )
    licence = str(given["licence"] or model.card.licence)
    card = replace(model.card, name=str(given["name"] or output.stem), licence=licence, scores={})
    model = replace(model, card=card)
    place = Place(
        output.with_suffix(".training"),
        bool(given["resume"]),
        choose_device(str(given["device"])),
        bool(given["overwrite"]),
    )
    keep_memory()
    if given["estimate"]:
        with open_data(data, card, options=options) as opened:
            sys.stdout.write(estimate(model, opened, options, place).summary() + "\n")
        return

    def tell(done: int, total: int, what: str) -> None:
        sys.stderr.write(f"{done}/{total} {what}\n")
        sys.stderr.flush()

    trained = train(data, model, options, place=place, progress=tell)
    save_network(trained, output, overwrite=True, half=bool(given["half"]))
    sys.stdout.write(f"{output}\n")


def _classes(given: dict[str, object]) -> list[str | None]:
    return [str(given[name]) if given[name] else None for name in ("classes", "ice")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m glacierx.training", description=__doc__)
    parser.add_argument("data", help="a sample file of glacierx train --export")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--preset", default="starter", help=f"{', '.join(presets())}, or a .toml")
    for name in ("init", "name", "licence", "classes", "ice"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--device", default="auto")
    for name in ("half", "estimate", "resume", "overwrite"):
        parser.add_argument(f"--{name}", action="store_true")
    hints = get_type_hints(TrainOptions)
    for declared in fields(TrainOptions):
        hint = hints[declared.name]
        flag = "--" + declared.name.replace("_", "-")
        if hint is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, help=declared.metadata["help"]
            )
            continue
        parser.add_argument(
            flag,
            type=next(iter(get_args(hint)), hint),
            choices=declared.metadata["choices"] or None,
            help=str(declared.metadata["help"]).replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
