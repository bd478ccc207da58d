"""Every architecture compiled, exported to ONNX and OpenVINO, and in 16 bits."""

import warnings

import numpy as np
import pytest
import torch
from narrow_networks import NARROW, SMALL

from glacierx.networks import build
from glacierx.networks.layers import Inputs
from glacierx.options import EngineOptions
from glacierx.predict.backend import make_forward, resolve

CASES = {
    **{name: (name, arguments) for name, arguments in SMALL.items()},
    **{
        f"unet:{name}": ("unet", {"encoder": name, "encoder_arguments": arguments})
        for name, arguments in NARROW.items()
        if name != "resnet18"
    },
    "unet:aspp": ("unet", {**SMALL["unet"], "bottleneck": "aspp", "bottleneck_width": 4,
                           "up": "bilinear"}),
    "unet:convt": ("unet", {**SMALL["unet"], "up": "convt"}),
    "unet:recurrent": ("unet", {"encoder": "plain",
                                "encoder_arguments": {**NARROW["plain"], "recurrent": 2}}),
}  # fmt: skip
everyone = pytest.mark.parametrize("case", sorted(CASES))
# Each takes seconds: those with the oddest operations always, the others when asked for.
QUICK = ("pspnet", "segnet", "unet")
some_quickly = pytest.mark.parametrize("case", [
    case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in sorted(CASES)
])  # fmt: skip
each_architecture = pytest.mark.parametrize("case", sorted(SMALL))
PLAIN = EngineOptions(device="cpu", backend="torch", precision="fp32", batch=2)


def network_of(case):
    name, arguments = CASES[case]
    torch.manual_seed(0)
    network = build(name, in_channels=3, classes=2, **arguments)
    for part in network.modules():  # As if trained: norms that do something.
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(part.weight, 0.8, 1.2)
    return network.eval()


def pixels(rows=64, columns=96):
    return torch.rand(2, 3, rows, columns, generator=torch.Generator().manual_seed(1))


def mask(network, x):
    with torch.inference_mode():
        return network(Inputs(x)).mask


def through(network, options, x):
    forward = make_forward(network, resolve(options), tuple(x.shape), context=False)
    with torch.inference_mode():
        return forward(Inputs(x, present=torch.ones(x.shape[:2])))


@everyone
def test_the_engine_folds_norms_and_changes_nothing_but_rounding(case):
    network, x = network_of(case), pixels()
    assert torch.allclose(through(network, PLAIN, x), mask(network, x), atol=1e-4, rtol=1e-3)


@everyone
def test_bf16_comes_close_and_names_parts_that_exist(case):
    network, x = network_of(case), pixels()
    for part in network.precise:
        assert hasattr(network.get_submodule(part.rpartition(".")[0]), part.rpartition(".")[2])
    wanted = mask(network, x)
    half = through(network, EngineOptions(**{**vars(PLAIN), "precision": "bf16"}), x)
    assert half.dtype == torch.float32
    # Eight bits of each number: a few hundredths of what the logits span.
    assert float((half - wanted).abs().mean()) < 0.05 * float(wanted.max() - wanted.min())


@some_quickly
def test_it_can_be_traced_for_the_compiler_without_a_break(case):
    network, x = network_of(case), pixels()
    torch.compiler.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    assert torch.allclose(mask(compiled, x), mask(network, x), atol=1e-5)


@pytest.mark.slow
@each_architecture
def test_it_can_be_compiled(case):
    network, x = network_of(case), pixels()
    options = EngineOptions(**{**vars(PLAIN), "compile": True})
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of the compiler itself.
        found = through(network, options, x)
    assert torch.allclose(found, mask(network, x), atol=1e-4, rtol=1e-3)


class _Mask(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(Inputs(x)).mask


@pytest.mark.slow
@everyone
def test_onnx_gives_what_pytorch_gives(case, tmp_path):
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install onnx {name}")
    import onnxruntime

    network, x = network_of(case), pixels()
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the exporter itself, which uses what PyTorch retires.
        torch.onnx.export(_Mask(network).eval(), (x,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, mask(network, x).numpy(), atol=1e-4, rtol=1e-3)


@some_quickly
def test_openvino_gives_what_pytorch_gives(case):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    # Another size than that of its trace, which a map remembered as a number would break.
    network, x = network_of(case), pixels(96, 160)
    options = EngineOptions(**{**vars(PLAIN), "backend": "openvino"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Else PyTorch would run it instead.
        found = through(network, options, x)
    assert torch.allclose(found, mask(network, x), atol=1e-3, rtol=1e-2)
