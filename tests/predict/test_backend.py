"""What runs a network, and in which numbers."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from factories import disc
from torch import nn

import glacierx as gx
from glacierx.errors import ExtraError, GlacierxWarning, OptionError
from glacierx.networks import build
from glacierx.networks.layers import Inputs, Output
from glacierx.options import EngineOptions
from glacierx.predict import backend, device, precision
from glacierx.predict.backend import WORTH_PASSES, fold_norms, make_forward, resolve
from glacierx.predict.device import decoders
from glacierx.predict.engine import Engine
from glacierx.predict.normalise import Normaliser
from glacierx.predict.planes import Planes
from glacierx.scene.prediction import NODATA, STEP

FP32 = EngineOptions(device="cpu", backend="torch", precision="fp32")
SHAPE = (1, 3, 64, 64)


def network(**changes):
    torch.manual_seed(0)
    made = build("deeplabv3plus", in_channels=3, classes=1, depth=18, stem_stride=2,
                 widths=(8, 8, 16, 16, 32), pyramid_width=16, **changes)  # fmt: skip
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):  # As if it had learnt: norms that do something.
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.5, 0.5)
    return made.eval()


def inputs():
    x = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    return Inputs(x, present=torch.ones(1, 3))


def logits(net, options):
    with torch.inference_mode():
        return make_forward(net, options, SHAPE, context=False)(inputs())


def test_folding_norms_changes_nothing_but_rounding():
    net = network(presence=True)
    with torch.inference_mode():
        plain = net(inputs()).mask
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = logits(net, FP32)
    assert torch.allclose(found, plain, atol=1e-4)
    assert plain.std() > 1e-3
    # The network that was given is as it was.
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fold_norms(net).modules())


def test_a_norm_that_follows_no_convolution_stays():
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
    kinds = [type(part) for part in fold_norms(net.eval())]
    assert kinds == [nn.ReLU, nn.BatchNorm2d, nn.Conv2d]


def test_delicate_parts_compute_in_fp32_where_the_rest_does_in_bf16():
    seen = {}

    class Noting(nn.Module):
        precise = ("fine", "none")

        def __init__(self):
            super().__init__()
            self.fine, self.rest = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
            self.none = None

        def forward(self, inputs):
            first = self.fine(inputs.x)
            last = self.rest(first)
            seen.update(fine=first.dtype, rest=last.dtype)
            return Output(mask=last)

    found = logits(Noting(), replace(FP32, precision="bf16"))
    assert seen == {"fine": torch.float32, "rest": torch.bfloat16}
    assert found.dtype == torch.float32


@pytest.mark.parametrize("has", [True, False])
def test_precision_asks_the_processor(monkeypatch, has):
    monkeypatch.setattr(precision, "_has_bf16", lambda device: has)
    assert resolve(EngineOptions(device="cpu"), 1).precision == ("bf16" if has else "fp32")
    assert resolve(EngineOptions(device="cpu", precision="bf16"), 1).precision == "bf16"


@pytest.mark.parametrize(("has", "name"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_computes_in_16_bits(monkeypatch, has, name):
    monkeypatch.setattr(backend, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated=True: has)
    found = resolve(EngineOptions(), 1000)
    assert (found.device, found.backend, found.precision) == ("cuda", "torch", name)
    with pytest.raises(OptionError, match="openvino runs on the CPU"):
        monkeypatch.setattr(backend, "find_spec", lambda name: object())
        resolve(EngineOptions(backend="openvino"), 1)


def test_openvino_is_taken_where_it_pays(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: object())
    monkeypatch.setattr(precision, "_has_bf16", lambda device: False)
    few, many = (resolve(EngineOptions(device="cpu"), n) for n in (WORTH_PASSES - 1, WORTH_PASSES))
    assert (few.backend, many.backend) == ("torch", "openvino")
    asked = EngineOptions(device="cpu", backend="openvino")
    assert resolve(asked, 1).backend == "openvino"
    assert resolve(EngineOptions(device="cpu", compile=True), 1000).backend == "torch"
    assert resolve(EngineOptions(device="cpu", precision="bf16"), 1000).backend == "torch"
    with pytest.raises(OptionError, match="OpenVINO compiles by itself"):
        resolve(replace(asked, compile=True), 1)
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    assert resolve(EngineOptions(device="cpu"), 1000).backend == "torch"
    with pytest.raises(ExtraError, match=r"pip install 'glacierx\[openvino\]'"):
        resolve(asked, 1)


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(OptionError, match="fp16 needs a CUDA device"):
        resolve(EngineOptions(device="cpu", precision="fp16"), 1)


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    with pytest.raises(OptionError, match=r"--compile needs a C\+\+ compiler"):
        make_forward(network(), replace(FP32, compile=True), SHAPE, context=False)


def test_openvino_gives_what_pytorch_gives():
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    net = network(presence=True)
    found = logits(net, replace(FP32, backend="openvino"))
    assert torch.allclose(found, logits(net, FP32), atol=1e-4)


def test_a_network_that_openvino_cannot_take_runs_in_pytorch(monkeypatch):
    def refuse(*given, **more):
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(backend, "_openvino", refuse)
    with pytest.warns(GlacierxWarning, match=r"cannot take this network \(no such operation\)"):
        found = logits(network(), replace(FP32, backend="openvino"))
    assert torch.equal(found, logits(network(), FP32))


def test_as_many_threads_decode_as_there_are_cores_up_to_some(monkeypatch):
    assert decoders(EngineOptions(workers=5)) == 5
    for cores, expected in ((1, 1), (4, 4), (64, device.MOST_DECODERS)):
        monkeypatch.setattr(device, "cores", lambda cores=cores: cores)
        assert decoders(EngineOptions()) == expected


def test_as_many_patches_as_fit_go_to_a_gpu_at_once(monkeypatch):
    fake = SimpleNamespace(
        reset_peak_memory_stats=lambda device: None,
        memory_allocated=lambda device: 1000,
        max_memory_allocated=lambda device: 1000 + 300,
        synchronize=lambda device: None,
        empty_cache=lambda: None,
        mem_get_info=lambda device: (3000, 8000),
    )
    card = gx.Card("m", "none", (gx.Slot("green"),), patch_px=64)
    nothing = Normaliser(np.zeros(1, np.float32), np.ones(1, np.float32))

    class Plain(nn.Module):
        def forward(self, inputs):
            return Output(mask=inputs.x)

    engine = Engine(gx.Model(Plain(), card), nothing, [True], options=FP32, patch_px=64)
    monkeypatch.setattr(torch, "cuda", fake)
    assert engine._largest(64) == 8  # 0.8 of 3000 bytes hold 8 patches of 300
    fake.mem_get_info = lambda device: (10, 8000)
    assert engine._largest(64) == 1


def test_planes_that_a_gpu_still_makes_are_waited_for(monkeypatch):
    done = []
    stream = SimpleNamespace(wait_event=lambda event: done.append(event))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, to: done.append(to))
    card = gx.Card("m", "none", (gx.Slot("green"),), patch_px=64)
    nothing = Normaliser(np.zeros(1, np.float32), np.ones(1, np.float32))

    class Plain(nn.Module):
        def forward(self, inputs):
            return Output(mask=inputs.x)

    engine = Engine(gx.Model(Plain(), card), nothing, [True], options=FP32, patch_px=64)
    engine.probability(Planes(torch.zeros(1, 1, 64, 64), ready="event"))
    assert done == ["event", stream]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    gx.simulate(folder, gx.SimulateOptions(size=512, seed=4, sensor="sentinel-2"))
    return folder


def steps_of(made, **engine):
    with (
        gx.open_scene(made / "scene.tif", dem=made / "dem.tif") as scene,
        gx.predict(scene, "starter", gx.PredictOptions(patch_px=256),
                   engine=EngineOptions(device="cpu", **engine)) as found,
    ):  # fmt: skip
        return found.read(found.grid.window)


def flips(one, other):
    """Return the share of valid pixels that differ at a half, and how far off the farthest is."""
    valid = one != NODATA
    changed = ((one > 125) != (other > 125)) & valid
    away = np.abs(one[changed] * STEP - 0.5)
    return changed.sum() / valid.sum(), away.max(initial=0.0)


def test_rounding_decides_few_pixels_and_only_doubtful_ones(made):
    plain = steps_of(made, backend="torch", precision="fp32", batch=1)
    assert 0.05 < (plain > 125).mean() < 0.95
    share, _ = flips(plain, steps_of(made, backend="torch", precision="fp32", batch=3))
    assert share <= 1e-5
    share, away = flips(plain, steps_of(made, backend="torch", precision="bf16", batch=1))
    assert share <= 1e-3
    assert away < 0.05


def test_openvino_in_fp32_decides_as_pytorch_does(made):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    plain = steps_of(made, backend="torch", precision="fp32", batch=1)
    share, _ = flips(plain, steps_of(made, backend="openvino", precision="fp32", batch=1))
    assert share <= 1e-5


@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_bits_come_whatever_the_workers(made, workers):
    with (
        gx.open_scene(made / "scene.tif", dem=made / "dem.tif", workers=workers) as scene,
        gx.predict(scene, "starter", gx.PredictOptions(patch_px=256),
                   engine=EngineOptions(device="cpu", backend="torch", precision="fp32")) as found,
    ):  # fmt: skip
        steps = found.read(found.grid.window)
    assert np.array_equal(steps, steps_of(made, backend="torch", precision="fp32"))


@pytest.mark.gpu
def test_a_gpu_decides_as_the_cpu_does(made):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    plain = steps_of(made, backend="torch", precision="fp32", batch=1)
    with (
        gx.open_scene(made / "scene.tif", dem=made / "dem.tif") as scene,
        gx.predict(scene, "starter", gx.PredictOptions(patch_px=256),
                   engine=EngineOptions(device="cuda")) as found,
    ):  # fmt: skip
        share, away = flips(plain, found.read(found.grid.window))
    assert share <= 1e-3
    assert away < 0.05


def test_what_was_computed_with_is_in_the_record(make_scene):
    with gx.open_scene(make_scene(disc((80, 80), (40, 40), 30))) as scene:
        card = gx.Card("m", "deeplabv3plus", (gx.Slot("green"),), patch_px=64,
                       arguments={"depth": 18, "widths": [4, 4, 4, 4, 8]})  # fmt: skip
        with gx.predict(scene, gx.build_model(card), engine=replace(FP32, precision="bf16")) as one:
            options = one.record["options"]["predict"]
    assert (options["device"], options["backend"]) == ("cpu", "torch")
    assert options["precision"] == "bf16"
    assert "openvino" not in one.record["versions"]
    assert sys.modules["torch"].__version__ == one.record["versions"]["torch"]
