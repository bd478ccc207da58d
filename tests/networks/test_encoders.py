"""Each encoder alone, under U-Net and under DeepLabV3+; parameters from the papers' tables."""

import inspect
import json
from itertools import pairwise

import pytest
import torch
from narrow_networks import NARROW

from glacierx.errors import ModelError
from glacierx.networks import build
from glacierx.networks.encoders import ENCODERS, build_encoder
from glacierx.networks.layers import Inputs

everyone = pytest.mark.parametrize("name", sorted(ENCODERS))
DILATED = ("mobilenet_v2", "resnest50", "resnet34", "resnet50", "xception65")


def narrow(name, in_channels=3, **more):
    torch.manual_seed(0)
    return build_encoder(name, in_channels, {**NARROW[name], **more})


def size(network):
    return sum(value.numel() for value in network.parameters())


def full_size(name, in_channels=3, **arguments):
    with torch.device("meta"):
        return size(build_encoder(name, in_channels, arguments))


def conv(kernel, into, out, bias=False):
    return kernel * kernel * into * out + bias * out


def unit(kernel, into, out):
    """A convolution without bias and its norm."""
    return conv(kernel, into, out) + 2 * out


def separable(into, out):
    """A depthwise convolution, its norm, a pointwise one, its norm."""
    return 9 * into + 2 * into + into * out + 2 * out


def test_the_table_is_sorted_and_tested():
    assert list(ENCODERS) == sorted(ENCODERS)
    assert set(NARROW) == set(ENCODERS)


def test_an_unknown_encoder_or_argument_is_named():
    with pytest.raises(ModelError, match=r"No encoder is called 'resnet19'\. Known: dense, drn"):
        build("unet", in_channels=4, classes=1, encoder="resnet19")
    with pytest.raises(ModelError, match=r"'unet' cannot be built: .*colour"):
        build("unet", in_channels=4, classes=1, encoder_arguments={"colour": 1})
    with pytest.raises(ModelError, match=r"asked for 19 layers\. It comes with: 18, 34, 50\."):
        build("unet", in_channels=4, classes=1, encoder_arguments={"depth": 19})


@everyone
def test_keywords_can_be_held_by_json(name):
    parameters = list(inspect.signature(type(narrow(name)).__init__).parameters.values())[2:]
    for parameter in parameters:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert json.dumps(parameter.default)


@everyone
def test_maps_have_the_channels_and_strides_that_are_said(name):
    encoder = narrow(name, in_channels=5).eval()
    rows, columns = 2 * encoder.strides[-1], 3 * encoder.strides[-1]
    with torch.inference_mode():
        maps = encoder(torch.rand(1, 5, rows, columns))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, rows // stride, columns // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    assert list(encoder.strides) == sorted(encoder.strides)


@everyone
def test_the_first_map_is_told_what_is_there(name):
    encoder = narrow(name).eval()
    x = torch.rand(2, 3, 64, 64)
    told = torch.rand(2, encoder.channels[0])
    with torch.inference_mode():
        plain, with_word = encoder(x), encoder(x, told)
    assert torch.allclose(with_word[0] - plain[0], told[:, :, None, None], atol=1e-5)
    assert not torch.equal(with_word[-1], plain[-1])


@everyone
@pytest.mark.parametrize("architecture", ["unet", "deeplabv3plus"])
def test_any_encoder_goes_with_any_decoder(name, architecture):
    small = {"rates": [1, 2], "pyramid_width": 4, "low_width": 4, "presence": True}
    if name == "dense":
        small["skips"] = [1]  # Its narrow form ends at stride 4.
    network = build(
        architecture, in_channels=4, classes=2, encoder=name, encoder_arguments=NARROW[name],
        **(small if architecture == "deeplabv3plus" else {"decoder_widths": None}),
    ).train()  # fmt: skip
    side = max(32, network.stride)
    mask = network(Inputs(torch.rand(2, 4, side, 2 * side))).mask
    assert mask.shape == (2, 2, side, 2 * side)
    mask.square().mean().backward()
    assert all(value.grad is not None for value in network.parameters())


@pytest.mark.parametrize("name", DILATED)
@pytest.mark.parametrize("out_stride", [8, 16])
def test_an_out_stride_keeps_the_size_and_all_weights(name, out_stride):
    encoder, other = narrow(name, out_stride=32), narrow(name, out_stride=out_stride).eval()
    assert encoder.strides[-1] == 32
    other.load_state_dict(encoder.state_dict())
    with torch.inference_mode():
        maps = other(torch.rand(1, 3, 64, 64))
    assert other.strides[-1] == out_stride
    assert maps[-1].shape[-1] == 64 // out_stride


def test_an_out_stride_that_cannot_be_is_refused():
    with pytest.raises(ModelError, match=r"out_stride=12\. It can end at 4, 8, 16, 32"):
        build_encoder("resnet50", 3, {"out_stride": 12})


def test_dilation_sees_as_far_as_strides_did():
    # The third and fourth stage of a ResNet at stride 8 are dilated 2 and 4.
    encoder = build_encoder("resnet18", 3, {**NARROW["resnet18"], "out_stride": 8})
    found = [stage[0].first[0].dilation[0] for stage in encoder.stages]
    assert found == [1, 1, 2, 4]


def test_only_chus_resnet_projects_where_the_shape_stays():
    for name, projects in (("resnet", True), ("resnet18", False), ("resnet34", False)):
        stage = narrow(name).stages[0] if name == "resnet" else build_encoder(name, 3).stages[0]
        assert (type(stage[0].shortcut).__name__ == "Sequential") is projects


# Counts that others publish for three channels, without classifier: torchvision's documentation
# (18, 34 and 50 layers, VGG, MobileNetV2) and the authors' of ResNeSt, 27,483,240 and 48,275,016
# with one of 2048 x 1000 + 1000. DRN-D-22's is 16,393,752 with one of 512 x 1000 + 1000.
PUBLISHED = {
    "drn": 16_393_752 - 513_000,
    "mobilenet_v2": 3_504_872 - 1_281_000,
    "resnest101": 48_275_016 - 2_049_000,
    "resnest50": 27_483_240 - 2_049_000,
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "vgg16": 14_714_688,
    "vgg16_bn": 14_723_136,
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_those_that_others_publish(name):
    assert full_size(name) == PUBLISHED[name]


def test_resnest_without_norms_in_its_attention_lacks_two_numbers_for_each_of_their_channels():
    blocks, squeezed = (3, 4, 23, 3), (32, 64, 128, 256)
    norms = 2 * sum(number * width for number, width in zip(blocks, squeezed, strict=True))
    without = build_encoder("resnest101", 3, {"attention_norm": False})
    assert full_size("resnest101") - sum(p.numel() for p in without.parameters()) == norms


def test_parameters_of_drn_follow_from_its_levels():
    # 7 x 7 and 3 x 3 of 16, a 3 x 3 of stride 2 to 32; two blocks a level, of two 3 x 3 each, the
    # first with a projection; then two plain convolutions of 512.
    count = unit(7, 3, 16) + unit(3, 16, 16) + unit(3, 16, 32)
    for into, out in ((32, 64), (64, 128), (128, 256), (256, 512)):
        count += unit(3, into, out) + 3 * unit(3, out, out) + unit(1, into, out)
    assert count + 2 * unit(3, 512, 512) == full_size("drn")


def test_parameters_of_xception_follow_from_figure_4():
    def block(*widths):
        return sum(separable(*pair) for pair in pairwise(widths))

    stem = unit(3, 3, 32) + unit(3, 32, 64)
    entry = 0
    for into, out in ((64, 128), (128, 256), (256, 728)):
        entry += block(into, out, out, out) + unit(1, into, out)
    middle = 16 * block(728, 728, 728, 728)
    leave = block(728, 728, 1024, 1024) + unit(1, 728, 1024) + block(1024, 1536, 1536, 2048)
    assert stem + entry + middle + leave == full_size("xception65")
    # Two more blocks, of 256 and 728 channels, which project although they keep their size.
    more = sum(block(width, width, width, width) + unit(1, width, width) for width in (256, 728))
    assert stem + entry + middle + leave + more == full_size("xception71")


def test_parameters_of_the_plain_encoder_follow_from_its_widths():
    widths = (4, 64, 128, 256, 512, 1024)
    count = sum(unit(3, into, out) + unit(3, out, out) for into, out in pairwise(widths))
    assert full_size("plain", 4) == count
    # R2U: each unit a projection with bias and one convolution whose weights recur.
    recurrent = sum(
        conv(1, into, out, True) + conv(1, out, out, True) + 2 * unit(3, out, out)
        for into, out in pairwise(widths)
    )
    assert full_size("plain", 4, recurrent=2) == recurrent
    gates = sum(
        conv(1, width, width // 2, True) + conv(1, width // 2, width, True) for width in widths[1:]
    )
    assert full_size("plain", 4, cse=True) == count + gates


def test_parameters_of_the_dense_encoder_follow_from_its_growth():
    # A layer: norm of what it sees, 3 x 3 to 12. A transition: norm, 1 x 1 to as many channels.
    count, into = conv(3, 3, 48), 48
    for level in range(6):
        count += (2 * into + conv(1, into, into)) if level else 0
        for _ in range(4):
            count += 2 * into + conv(3, into, 12)
            into += 12
    assert into == 336
    assert full_size("dense") == count


def test_weights_without_norms_keep_the_spread_of_their_maps():
    # He et al. 2015: the mean square stays the same through convolution and ReLU. PyTorch's start
    # would leave a sixth of it after each of thirteen layers, 1e-10 in all.
    torch.manual_seed(0)
    encoder = build_encoder("vgg16", 3).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        deep = encoder(x)[4]
    assert 0.1 < float(deep.square().mean()) < 10
