"""What runs a network: PyTorch or OpenVINO, on a device, in numbers that it is fast in."""

import copy
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glacierx.errors import ExtraError, GlacierxWarning, OptionError
from glacierx.networks.layers import Inputs
from glacierx.options import EngineOptions
from glacierx.predict.device import choose_device
from glacierx.predict.precision import Precision, choose_precision

Forward = Callable[[Inputs], Tensor]
"""Takes what a network sees and returns its logits (batch, classes, rows, columns) in float32."""

# OpenVINO takes some seconds to convert a network, and saves a part of each pass.
WORTH_PASSES = 32
OPENVINO = "openvino"


def resolve(options: EngineOptions, passes: int = 1) -> EngineOptions:
    """Replace what is ``auto`` by what this machine has; how many patches fit is found later.

    Args:
        options: What was asked for.
        passes: How often a patch will go through the network; says whether a slow start pays.

    Raises:
        OptionError: The machine lacks what was asked for.
    """
    device = choose_device(options.device)
    asked = options.precision
    if asked == "auto" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        asked = "fp16"  # Older GPUs compute fast in it, and running needs no range for gradients.
    precision = choose_precision(asked, device)
    backend = options.backend
    if backend == "auto":
        # In bf16 OpenVINO has no way to keep parts of a network precise, and PyTorch has.
        fits = device.type == "cpu" and precision.name == "fp32" and not options.compile
        pays = fits and passes >= WORTH_PASSES and find_spec(OPENVINO)
        backend = OPENVINO if pays else "torch"
    if backend == OPENVINO:
        _check_openvino(device, compiled=options.compile)
    return replace(options, device=str(device), backend=backend, precision=precision.name)


def _check_openvino(device: torch.device, *, compiled: bool) -> None:
    if not find_spec(OPENVINO):
        raise ExtraError(
            "--backend openvino is not installed here: pip install 'glacierx[openvino]', or use "
            "--backend torch."
        )
    if device.type != "cpu":
        raise OptionError(f"--backend openvino runs on the CPU, and --device is {device}.")
    if compiled:
        raise OptionError("--compile is for --backend torch; OpenVINO compiles by itself.")


def make_forward(
    network: nn.Module, options: EngineOptions, shape: tuple[int, ...], *, context: bool
) -> Forward:
    """Make a network ready to run; the one that is given stays as it is.

    Args:
        network: The network.
        options: Resolved options.
        shape: Of what it will see: batch, channels, rows, columns.
        context: Whether it also takes a wider view.

    Returns:
        A function that runs it on planes of the device.
    """
    device = torch.device(options.device)
    own = fold_norms(copy.deepcopy(network).eval().requires_grad_(False))
    if options.backend == OPENVINO:
        try:
            return _openvino(own, options.precision, shape, context=context)
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            warnings.warn(
                f"OpenVINO cannot take this network ({reason}); PyTorch runs it.",
                GlacierxWarning,
                stacklevel=2,
            )
    precision = Precision(options.precision, device.type)
    return _torch(own.to(device), precision, compiled=options.compile)


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions that they follow in a sequence, in place.

    What is computed stays the same but for rounding; a pass over each map is saved.
    """
    if isinstance(module, nn.Sequential):
        for name, following in pairwise(list(module._modules)):
            one, two = module._modules[name], module._modules[following]
            if isinstance(one, nn.Conv2d) and isinstance(two, nn.BatchNorm2d):
                if two.running_mean is None:
                    continue
                module._modules[name] = fuse_conv_bn_eval(one, two)
                module._modules[following] = nn.Identity()
    for part in module.children():
        fold_norms(part)
    return module


def _torch(network: nn.Module, precision: Precision, *, compiled: bool) -> Forward:
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks the format
    if precision.name != "fp32":
        _keep_precise(network, precision.device)
    run: Callable[[Inputs], Tensor] = lambda inputs: network(inputs).mask  # noqa: E731
    if compiled:
        _check_compiler(precision.device)
        run = torch.compile(run)

    def forward(inputs: Inputs) -> Tensor:
        last = inputs.x.contiguous(memory_format=torch.channels_last)
        with precision.autocast():
            return run(inputs._replace(x=last)).float()

    return forward


class _Precise(nn.Module):
    """A part of a network that computes in fp32 whatever the rest does."""

    def __init__(self, part: nn.Module, device: str) -> None:
        super().__init__()
        self.part = part
        self._device = device

    def forward(self, *maps: Tensor) -> Tensor:
        with torch.autocast(self._device, enabled=False):
            return self.part(*(part.float() for part in maps))  # type: ignore[no-any-return]  # nn.Module is Any


def _keep_precise(network: nn.Module, device: str) -> None:
    """Wrap the parts that a network names in `precise`; it may have been built without some."""
    for name in getattr(network, "precise", ()):
        parent, _, own = name.rpartition(".")
        holder = network.get_submodule(parent)
        part = getattr(holder, own)
        if part is not None:
            setattr(holder, own, _Precise(part, device))


def _check_compiler(device: str) -> None:
    if device == "cuda":
        found = find_spec("triton") is not None
    else:
        names = (os.environ.get("CXX"), "c++", "g++", "clang++", "cl")
        found = any(name and shutil.which(name) for name in names)
    if not found:
        needed = "Triton" if device == "cuda" else "a C++ compiler"
        raise OptionError(f"--compile needs {needed}, which is not here. Leave it out.")


class _Masked(nn.Module):
    """A network that takes and gives plain tensors, which OpenVINO can follow."""

    def __init__(self, network: nn.Module, *, context: bool) -> None:
        super().__init__()
        self.network = network
        self.context = context

    def forward(self, x: Tensor, present: Tensor, *wider: Tensor) -> Tensor:
        seen = Inputs(x, present=present, context=wider[0] if self.context else None)
        return self.network(seen).mask  # type: ignore[no-any-return]  # nn.Module is Any


def _openvino(
    network: nn.Module, precision: str, shape: tuple[int, ...], *, context: bool
) -> Forward:
    import openvino  # noqa: PLC0415 - an extra, and slow to import

    stride = getattr(network, "stride", 1)
    side = -(-64 // stride) * stride
    example = [torch.rand(1, shape[1], side, side), torch.ones(1, shape[1])]
    shapes: list[tuple[int, ...]] = [shape, shape[:2]]
    if context:
        example.append(example[0])
        shapes.append(shape)
    with warnings.catch_warnings():
        # Shapes that a trace takes for fixed are checked by the network and differ by stride only.
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(
            _Masked(network, context=context), example_input=tuple(example)
        )
    converted.reshape(dict(enumerate(shapes)))
    compiled = openvino.Core().compile_model(
        converted,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        },
    )
    request = compiled.create_infer_request()

    def forward(inputs: Inputs) -> Tensor:
        wider = [inputs.context] if inputs.context is not None else []
        given = [inputs.x, inputs.present, *wider]
        seen = [part.contiguous().numpy() for part in given if part is not None]
        found = request.infer(seen, share_inputs=True)
        return torch.from_numpy(found[compiled.output(0)]).float()

    return forward
