import torch

from glacierx.networks import build
from glacierx.networks.layers import CBAM, Inputs

THIN = {"depth": 18, "widths": [4, 4, 4, 8, 16], "pyramid_width": 8, "low_width": 4}


def conv(kernel, into, out, bias):
    return kernel * kernel * into * out + bias * out


def norm(channels):
    return 2 * channels


def counted():
    """Count Chu et al.'s network (four bands, one class) part by part from its description."""
    stem = conv(7, 4, 64, False) + norm(64)
    blocks = 0
    into = 64
    for out, number in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(number):
            blocks += conv(3, into if block == 0 else out, out, False) + norm(out)
            blocks += conv(3, out, out, False) + norm(out)
            if block == 0:
                blocks += conv(1, into, out, False) + norm(out)
        into = out
    pyramid = conv(1, 512, 256, True) + norm(256)  # 1 x 1
    pyramid += 3 * (conv(3, 512, 256, True) + norm(256))  # dilated
    pyramid += conv(1, 512, 256, True) + norm(256)  # mean
    attention = conv(1, 512, 32, False) + conv(1, 32, 512, False) + conv(7, 2, 1, True)
    merge = conv(1, 5 * 256 + 512, 256, True) + norm(256)
    low = conv(1, 128, 32, True) + norm(32)
    decoder = 9 * (256 + 32) + conv(1, 256 + 32, 256, False) + norm(256)
    return stem + blocks + pyramid + attention + merge + low + decoder + conv(1, 256, 1, True)


def size(network):
    return sum(value.numel() for value in network.parameters() if value.requires_grad)


def test_parameters_are_those_of_the_published_network():
    assert counted() == 25_670_628
    assert size(build("attention_deeplabv3plus", in_channels=4, classes=1)) == 25_670_628
    assert size(build("deeplabv3plus", in_channels=4, classes=1)) == 25_506_689


def test_the_pyramid_sees_sixteen_and_the_decoder_four():
    network = build("attention_deeplabv3plus", in_channels=4, classes=1).eval()
    with torch.inference_mode():
        maps = network.encoder(torch.zeros(1, 4, 64, 96))
    assert [tuple(found.shape[1:]) for found in maps] == [
        (64, 64, 96),  # the stem keeps the full size
        (64, 32, 48),
        (128, 16, 24),
        (256, 8, 12),
        (512, 4, 6),
    ]
    assert network.encoder.strides == (1, 2, 4, 8, 16)
    assert network.pyramid.merge[0][0].in_channels == 1792
    assert network.decoders[0].merge[0][0].in_channels == 288


def test_every_stage_projects_its_first_shortcut():
    network = build("deeplabv3plus", in_channels=4, classes=1)
    for stage in network.encoder.stages:
        kinds = [type(block.shortcut).__name__ for block in stage]
        assert kinds == ["Sequential"] + ["Identity"] * (len(stage) - 1)


def test_cbam_weighs_channels_then_places():
    # With the shared layers at zero the channel gate is sigmoid(0) = 1/2; with the spatial one at
    # zero that gate is 1/2 too, so a quarter is left.
    attention = CBAM(32)
    for value in attention.parameters():
        torch.nn.init.zeros_(value)
    x = torch.rand(2, 32, 8, 8)
    assert torch.allclose(attention(x), x / 4)


def test_cbam_gates_a_channel_by_its_mean_and_peak():
    attention = CBAM(16, reduction=16)
    torch.nn.init.zeros_(attention.spatial.weight)
    torch.nn.init.zeros_(attention.spatial.bias)
    for index in (0, 2):
        torch.nn.init.ones_(attention.shared[index].weight)
    x = torch.zeros(1, 16, 4, 4)
    x[0, 3, 1, 1] = 16.0  # mean 1, peak 16, summed over the channels: hidden 1 and 16
    gate = torch.sigmoid(torch.tensor(1.0 + 16.0))
    assert torch.allclose(attention(x)[0, 3, 1, 1], 16.0 * gate / 2)


def test_the_attention_branch_is_all_that_differs():
    plain = build("deeplabv3plus", in_channels=4, classes=1)
    attentive = build("attention_deeplabv3plus", in_channels=4, classes=1)
    extra = {key for key in attentive.state_dict() if key not in plain.state_dict()}
    assert {key.split(".")[1] for key in extra} == {"attention"}


def test_the_receptive_field_of_one_batch_item_is_the_whole_patch():
    # The pyramid's mean sees everything: a far pixel changes the result a little.
    network = build("deeplabv3plus", in_channels=1, classes=1).eval()
    x = torch.zeros(1, 1, 256, 256)
    y = x.clone()
    y[0, 0, 250, 250] = 100.0
    with torch.inference_mode():
        assert not torch.equal(
            network(Inputs(x)).mask[0, 0, :16, :16], network(Inputs(y)).mask[0, 0, :16, :16]
        )


def test_a_stem_of_stride_two_halves_every_map():
    for stem, stride in ((1, 16), (2, 32)):
        network = build("deeplabv3plus", in_channels=2, classes=1, stem_stride=stem, **THIN).eval()
        assert network.stride == stride
        maps = network.encoder(torch.rand(1, 2, 64, 64), None)
        assert [64 // part.shape[-1] for part in maps] == list(network.encoder.strides)
        assert network.encoder.strides == tuple(stem * factor for factor in (1, 2, 4, 8, 16))


def test_the_decoder_ends_at_the_finest_map_it_merges():
    for skips, stride in (((3,), 8), ((2,), 4), ((2, 1), 2), ((2, 1, 0), 1)):
        network = build("deeplabv3plus", in_channels=2, classes=1, skips=skips, **THIN).eval()
        with torch.inference_mode():
            found = network(Inputs(torch.rand(1, 2, 64, 64)))
        assert found.features.shape[-1] == 64 // stride
        assert found.mask.shape == (1, 1, 64, 64)


def test_a_network_that_is_told_of_planes_tells_zero_from_absent():
    told = build("deeplabv3plus", in_channels=3, classes=1, presence=True, **THIN).eval()
    plain = build("deeplabv3plus", in_channels=3, classes=1, **THIN).eval()
    x = torch.rand(1, 3, 32, 32)
    x[:, 1] = 0
    there, absent = torch.ones(1, 3), torch.tensor([[1.0, 0.0, 1.0]])
    with torch.inference_mode():
        assert not torch.allclose(
            told(Inputs(x, present=there)).mask, told(Inputs(x, present=absent)).mask
        )
        # Without a word all planes are there.
        assert torch.equal(told(Inputs(x)).mask, told(Inputs(x, present=there)).mask)
        assert torch.equal(plain(Inputs(x)).mask, plain(Inputs(x, present=absent)).mask)


def test_each_sample_is_told_of_its_own_planes():
    torch.manual_seed(0)
    network = build("deeplabv3plus", in_channels=2, classes=1, presence=True, **THIN).eval()
    x = torch.rand(1, 2, 32, 32).repeat(2, 1, 1, 1)
    present = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    with torch.inference_mode():
        both = network(Inputs(x, present=present)).mask
        alone = torch.cat([network(Inputs(x[:1], present=one[None])).mask for one in present])
    assert torch.allclose(both, alone, atol=1e-5)
    assert (both[0] - both[1]).abs().max() > 1e-4


def test_new_arguments_leave_the_published_network_as_it_was():
    network = build("attention_deeplabv3plus", in_channels=4, classes=1)
    assert network.presence is None
    assert network.skips == (2,)
    assert len(network.decoders) == 1
    assert network.stride == 16
