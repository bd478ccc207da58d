"""What each architecture computes, and parameters worked out by hand from the published tables."""

from itertools import pairwise

import pytest
import torch
from narrow_networks import NARROW

from glacierx.errors import ModelError
from glacierx.networks import build
from glacierx.networks.layers import ChannelGate, Inputs, activation
from glacierx.networks.pspnet import _Pyramid
from glacierx.networks.segnet import pool_with_places, unpool
from glacierx.networks.units import Unit, _Recurrent
from glacierx.predict.card import Card, Slot
from glacierx.predict.modelfile import build_model, load_network, save_network


def full_size(name, **arguments):
    with torch.device("meta"):
        network = build(name, in_channels=4, classes=1, **arguments)
    return sum(value.numel() for value in network.parameters())


def conv(kernel, into, out, bias=False):
    return kernel * kernel * into * out + bias * out


def unit(kernel, into, out, bias=False):
    return conv(kernel, into, out, bias) + 2 * out


def test_parameters_of_unet_on_resnet18():
    # ResNet-18: 7 x 7 stem; two blocks of two 3 x 3 a stage; projections where the width changes.
    count = unit(7, 4, 64) + 4 * unit(3, 64, 64)
    for into, out in ((64, 128), (128, 256), (256, 512)):
        count += unit(3, into, out) + 3 * unit(3, out, out) + unit(1, into, out)
    assert count == 11_176_512 + 49 * 64  # that of three channels and a fourth
    # Decoder: what comes from below and the encoder's map of that stride; none at full size.
    for into, skipped, out in (
        (512, 256, 256), (256, 128, 128), (128, 64, 64), (64, 64, 32), (32, 0, 16),
    ):  # fmt: skip
        count += unit(3, into + skipped, out) + unit(3, out, out)
    count += conv(3, 16, 1, True)
    assert count == 14_331_345
    assert full_size("unet") == count


def test_parameters_of_fcn32s_on_vgg16():
    # Simonyan and Zisserman, table 1, column D: thirteen 3 x 3 with biases; then the score.
    widths = (4, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    count = sum(conv(3, *pair, True) for pair in pairwise(widths))
    count += conv(1, 512, 1, True)
    assert count == 14_714_688 + 576 + 513
    assert full_size("fcn") == count
    assert full_size("fcn", out_stride=16) == count + 513


def test_parameters_of_segnet():
    # Four stages of three down, four of three up, 64 filters with biases and norms; 1 x 1.
    count = unit(3, 4, 64, True) + 23 * unit(3, 64, 64, True) + conv(1, 64, 1, True)
    assert full_size("segnet") == count


def test_parameters_of_pspnet():
    # ResNet-50: a bottleneck is 1 x 1 to a quarter, 3 x 3, 1 x 1; the first of a stage projects.
    count = unit(7, 4, 64)
    into = 64
    for out, blocks in ((256, 3), (512, 4), (1024, 6), (2048, 3)):
        for block in range(blocks):
            narrow = out // 4
            count += unit(1, into, narrow) + unit(3, narrow, narrow) + unit(1, narrow, out)
            count += 0 if block else unit(1, into, out)
            into = out
    count += 4 * unit(1, 2048, 512) + unit(3, 4096, 512) + conv(1, 512, 1, True)
    assert full_size("pspnet") == count


def test_parameters_of_fc_densenet56():
    # Table 1: a layer is norm, ReLU, 3 x 3 to 12; a transition down norm, ReLU, 1 x 1; one up a
    # transposed 3 x 3 with bias. Five blocks of four down, four layers between, five blocks up.
    def block(into, layers=4):
        return sum(2 * c + conv(3, c, 12) for c in range(into, into + 12 * layers, 12))

    count, into, skips = conv(3, 4, 48), 48, []
    for _ in range(5):
        count += block(into)
        into += 48
        skips.append(into)
        count += 2 * into + conv(1, into, into)
    count += block(into)
    for skipped in reversed(skips):
        count += conv(3, 48, 48, True) + block(48 + skipped)
    assert skips == [96, 144, 192, 240, 288]
    assert full_size("fc_densenet") == count + conv(1, 96 + 48 + 48, 1, True)


def test_parameters_of_tiramisu_103_are_those_of_the_paper():
    # Table 3 of Jegou et al.: 9.4 million with 103 layers, growth 16, on three bands; CamVid's
    # twelve classes.
    with torch.device("meta"):
        network = build("fc_densenet", in_channels=3, classes=12, growth=16,
                        layers=[4, 5, 7, 10, 12, 15])  # fmt: skip
    assert sum(value.numel() for value in network.parameters()) == pytest.approx(9.4e6, rel=0.02)


def test_maxima_go_back_to_where_pytorch_puts_them():
    x = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    values, places = pool_with_places(x)
    wanted, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, wanted)
    assert torch.equal(unpool(values, places), torch.nn.functional.max_unpool2d(wanted, indices, 2))
    # The gradient goes to the maxima alone, once each.
    unpool(values, places).sum().backward()
    assert torch.equal(x.grad.bool(), unpool(values, places) > 0)


def test_a_recurrent_unit_sees_its_own_result():
    # One channel, kernel 1, norm off: x = 2 input; h1 = relu(3 x), h2 = relu(3 (x + h1)).
    part = _Recurrent(1, 1, kernel=1, activated="relu", norm=False, times=2)
    for value, number in ((part.project.weight, 2.0), (part.step[0].weight, 3.0)):
        torch.nn.init.constant_(value, number)
    for value in (part.project.bias, part.step[0].bias):
        torch.nn.init.zeros_(value)
    # Input 1: x = 2, h1 = 6, h2 = 24, out 26.
    assert part(torch.ones(1, 1, 1, 1)).item() == 26.0


def test_a_gate_weighs_channels_by_their_means():
    gate = ChannelGate(4)
    assert gate.gate[0].weight.shape == (2, 4, 1, 1)
    for value in gate.parameters():
        torch.nn.init.zeros_(value)
    torch.nn.init.constant_(gate.gate[2].bias, 2.0)
    x = torch.rand(1, 4, 3, 3)
    assert torch.allclose(gate(x), x * torch.sigmoid(torch.tensor(2.0)))


def test_a_residual_unit_without_weights_is_its_input():
    part = Unit(3, 3, residual=True, norm=False)
    for value in part.parameters():
        torch.nn.init.zeros_(value)
    x = torch.rand(1, 3, 4, 4)
    assert torch.equal(part(x), x)


@pytest.mark.parametrize(
    ("name", "below"), [("relu", 0.0), ("leaky", -0.2), ("elu", 0.13533528 - 1)]
)
def test_activations(name, below):
    found = activation(name)(torch.tensor([-2.0, 3.0]))  # ELU(-2) = exp(-2) - 1
    assert torch.allclose(found, torch.tensor([below, 3.0]))


def test_unknown_kinds_are_named():
    for arguments, text in (
        ({"up": "magic"}, "'magic'. Take one of: nearest, bilinear, convt"),
        ({"bottleneck": "big"}, "'big'. Take one of: none, aspp"),
        ({"activated": "tanh"}, "'tanh'. Take one of: relu, leaky, elu"),
        ({"decoder_widths": [8, 8]}, "2 decoder_widths .* stride 32. Give 5"),
    ):
        with pytest.raises(ModelError, match=text):
            build("unet", in_channels=1, classes=1, **arguments)
    with pytest.raises(ModelError, match=r"no branch 'x'\. Take one of: none, cbam, maxpool"):
        build("deeplabv3plus", in_channels=1, classes=1, branch="x")
    with pytest.raises(ModelError, match=r"out_stride=8 .* ends at 32\. Take 32 or 16"):
        build("fcn", in_channels=1, classes=1, out_stride=8)
    with pytest.raises(ModelError, match=r"no map of stride 4: its maps have 2, 8\b|skips"):
        build("deeplabv3plus", in_channels=1, classes=1, encoder="plain",
              encoder_arguments={"widths": [4, 4]})  # fmt: skip


def test_fcn_enlarges_scores_from_edge_to_edge():
    # A score that rises by one from cell to cell rises by 1/32 from pixel to pixel between the
    # middles of cells, where it has the cell's own value: (15.5 + 32 i) is the middle of cell i.
    network = build("fcn", in_channels=1, classes=1, encoder_arguments=NARROW["vgg16"]).eval()
    scores = torch.arange(4.0).expand(1, 1, 4, 4)
    network.score = torch.nn.Identity()
    network.encoder.forward = lambda x: [scores]
    row = network(Inputs(torch.zeros(1, 1, 128, 128))).mask[0, 0, 64]
    assert torch.allclose(row[[47, 48]].mean(), torch.tensor(1.0))
    assert torch.allclose(row[48:79].diff(), torch.full((30,), 1 / 32))


def test_fcn16s_adds_the_finer_score():
    network = build("fcn", in_channels=1, classes=1, encoder_arguments=NARROW["vgg16"],
                    out_stride=16).eval()  # fmt: skip
    for value in network.score.parameters():
        torch.nn.init.zeros_(value)
    torch.nn.init.zeros_(network.finer.weight)
    torch.nn.init.constant_(network.finer.bias, 7.0)
    assert torch.allclose(network(Inputs(torch.rand(1, 1, 64, 64))).mask, torch.tensor(7.0))


def test_the_pyramid_of_pspnet_holds_means_of_parts():
    pyramid = _Pyramid(2, bins=(1, 2)).eval()
    assert pyramid.channels == 4
    for branch in pyramid.branches:
        torch.nn.init.constant_(branch[1][0].weight, 0.5)  # the mean of both channels
    x = torch.rand(1, 2, 6, 6)
    found = pyramid(x)
    norm = 1 / (1 + 1e-5) ** 0.5  # an untrained norm
    assert torch.equal(found[:, :2], x)
    assert torch.allclose(found[0, 2], x.mean() * norm)
    corner = x[:, :, :3, :3].mean() * norm
    assert torch.allclose(found[0, 3, 0, 0], corner)


def test_deeplab_merges_the_last_map_of_stride_four():
    for name, index in (("xception65", 1), ("mobilenet_v2", 1), ("drn", 2), ("resnest50", 1)):
        network = build("deeplabv3plus", in_channels=1, classes=1, encoder=name,
                        encoder_arguments=NARROW[name], pyramid_width=4)  # fmt: skip
        assert network.skips == (index,)
        assert network.encoder.strides[index] == 4
        assert network.encoder.strides[index + 1] == 8


def test_raw_maps_are_merged_whole():
    network = build("deeplabv3plus", in_channels=1, classes=1, depth=18, low_width=None)
    assert network.decoders[0].merge[0][1].in_channels == 256 + 128


def test_a_branch_can_be_named_whatever_the_architecture():
    def keys(name, **arguments):
        small = {"depth": 18, "widths": [4, 4, 4, 8, 16], "pyramid_width": 8}
        return set(build(name, in_channels=1, classes=1, **small, **arguments).state_dict())

    assert keys("deeplabv3plus", branch="cbam") == keys("attention_deeplabv3plus")
    assert keys("attention_deeplabv3plus", branch="none") == keys("deeplabv3plus")


def test_files_of_weights_that_exist_keep_their_names():
    # The names that the files written by releases hold, from the parts of the network as it was.
    network = build("attention_deeplabv3plus", in_channels=4, classes=1, depth=18, presence=True)
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    wanted = {"encoder.stem.0.weight", *(f"encoder.stem.1.{part}" for part in norm)}
    for stage in range(4):
        for block in range(2):
            at = f"encoder.stages.{stage}.{block}."
            for part in ("first", "second", *(("shortcut",) if block == 0 else ())):
                wanted |= {f"{at}{part}.0.weight", *(f"{at}{part}.1.{each}" for each in norm)}
    for part in ("branches.0", "branches.1", "branches.2", "branches.3", "mean", "merge.0"):
        wanted |= {f"pyramid.{part}.0.weight", f"pyramid.{part}.0.bias"}
        wanted |= {f"pyramid.{part}.1.{each}" for each in norm}
    wanted |= {f"pyramid.attention.shared.{index}.weight" for index in (0, 2)}
    wanted |= {f"pyramid.attention.spatial.{part}" for part in ("weight", "bias")}
    wanted |= {"decoders.0.reduce.0.weight", "decoders.0.reduce.0.bias"}
    wanted |= {f"decoders.0.reduce.1.{each}" for each in norm}
    wanted |= {f"decoders.0.merge.0.{index}.weight" for index in (0, 1)}
    wanted |= {f"decoders.0.merge.0.2.{each}" for each in norm}
    wanted |= {f"{part}.{kind}" for part in ("presence", "head") for kind in ("weight", "bias")}
    assert set(network.state_dict()) == wanted


def test_a_file_keeps_the_encoder_and_its_arguments(tmp_path):
    arguments = {"encoder": "plain", "encoder_arguments": {**NARROW["plain"], "cse": True}}
    card = Card("small", "unet", (Slot("red"), Slot("nir")), arguments)
    model = build_model(card)
    back = load_network(save_network(model, tmp_path / "small.safetensors"))
    assert back.card == card
    x = torch.rand(1, 2, 16, 16)
    with torch.inference_mode():
        assert torch.equal(back.network(Inputs(x)).mask, model.network(Inputs(x)).mask)
