"""How far networks see, against what a changed pixel changes."""

from pathlib import Path

import pytest
import torch
from narrow_networks import NARROW

from glacierx.errors import ModelError
from glacierx.networks import ARCHITECTURES, build
from glacierx.networks.layers import Inputs, Output
from glacierx.networks.reach import receptive_field, spans_of_row

DOCUMENTED = Path(__file__).parents[2] / "docs" / "networks.md"
# Name, arguments, columns of the patch.
BOUNDED = {
    "fc_densenet": ("fc_densenet", {"first": 4, "growth": 2, "layers": [1, 1, 2]}, 128),
    "fcn32s": ("fcn", {"encoder_arguments": NARROW["vgg16"]}, 512),
    "fcn16s": ("fcn", {"encoder_arguments": NARROW["vgg16"], "out_stride": 16}, 512),
    "unet": ("unet", {"encoder": "plain", "encoder_arguments": NARROW["plain"]}, 96),
    "unet:bilinear": (
        "unet", {"encoder": "plain", "encoder_arguments": NARROW["plain"], "up": "bilinear"}, 96,
    ),
    "unet:convt": (
        "unet", {"encoder": "plain", "encoder_arguments": NARROW["plain"], "up": "convt"}, 96,
    ),
    "unet:drn": ("unet", {"encoder": "drn", "encoder_arguments": NARROW["drn"]}, 768),
    "unet:resnet18": (
        "unet", {"encoder_arguments": NARROW["resnet18"], "decoder_widths": [4] * 5}, 768,
    ),
}  # fmt: skip
WHOLE = {
    "attention_deeplabv3plus": {"depth": 18, "widths": [4, 4, 4, 8, 16], "pyramid_width": 4},
    "deeplabv3plus": {"depth": 18, "widths": [4, 4, 4, 8, 16], "pyramid_width": 4},
    "pspnet": {"encoder_arguments": {"widths": [4, 8, 8, 8, 8]}, "width": 4},
    "unet": {"encoder": "plain", "encoder_arguments": {**NARROW["plain"], "cse": True}},
}


def positive(name, arguments):
    """Without signs nothing cancels, and without offsets zero stays zero: what sees, shows."""
    network = build(name, in_channels=1, classes=1, **arguments).double().eval()
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)
    return network


@pytest.mark.parametrize("case", sorted(BOUNDED))
def test_a_pixel_shows_as_far_as_is_said_and_no_further(case):
    name, arguments, columns = BOUNDED[case]
    network = positive(name, arguments)
    spans = spans_of_row(network, columns)
    # Inputs that are zero but for a column: the first and the last that the pixel in the middle is
    # said to see, and those beside.
    middle = columns // 2 + 1
    first, last = spans[middle]
    assert 0 < first < middle < last < columns - 1, "the patch is too small for this test"
    tried = [first - 1, first, last, last + 1]
    x = torch.zeros(4, 1, network.stride, columns, dtype=torch.float64)
    for index, column in enumerate(tried):
        x[index, :, :, column] = 1e-3
    with torch.inference_mode():
        seen = network(Inputs(x)).mask[:, 0, :, :] > 0
    assert seen[:, :, middle].any(dim=1).tolist() == [False, True, True, False]
    # Every other column sees it or not as its own span says.
    for index, column in enumerate(tried):
        said = [low <= column <= high for low, high in spans]
        found = seen[index].any(dim=0).tolist()
        assert not any(f and not s for f, s in zip(found, said, strict=True))


@pytest.mark.parametrize("case", ["fc_densenet", "unet", "unet:convt"])
def test_the_gradient_of_a_pixel_ends_where_is_said(case):
    name, arguments, columns = BOUNDED[case]
    network = positive(name, arguments)
    x = torch.rand(1, 1, network.stride, columns, dtype=torch.float64, requires_grad=True)
    middle = columns // 2
    network(Inputs(x)).mask[0, 0, 0, middle].backward()
    reached = x.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    first, last = spans_of_row(network, columns)[middle]
    # Max-pooling hands the gradient to one pixel of two; the outermost may be the other.
    assert first <= int(reached.min()) <= first + network.stride
    assert last - network.stride <= int(reached.max()) <= last


def test_segnet_sees_no_further_than_is_said_and_nearly_as_far():
    # Where a maximum lies decides where it goes back to, so that zeros cannot show it.
    torch.manual_seed(0)
    network = positive("segnet", {"stages": 2, "convolutions": 1, "width": 4})
    spans = spans_of_row(network, 64)
    first, last = spans[32]
    base = torch.rand(16, 1, 4, 64, dtype=torch.float64)

    def shows(column):
        x = base.clone()
        x[..., column] += 1e6
        with torch.inference_mode():
            differs = network(Inputs(x)).mask != network(Inputs(base)).mask
        return bool(differs[..., 32].any())

    assert [shows(column) for column in (first - 1, last + 1)] == [False, False]
    assert any(shows(column) for column in range(first, first + 3))
    assert any(shows(column) for column in range(last - 2, last + 1))


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_mean_over_the_map_sees_the_whole_patch(name):
    network = positive(name, WHOLE[name])
    assert receptive_field(network) is None
    x = torch.rand(1, 1, 32, 512, dtype=torch.float64)
    y = x.clone()
    y[..., -1] += 10
    with torch.inference_mode():
        assert not torch.equal(network(Inputs(x)).mask[..., 0], network(Inputs(y)).mask[..., 0])


def test_the_field_of_small_networks_by_hand():
    # Two 3 x 3 at full size see 5, the head of 3 x 3 makes 7. No level below: stride 1.
    flat = {"encoder": "plain", "encoder_arguments": {"widths": [4]}, "decoder_widths": []}
    assert receptive_field(build("unet", in_channels=1, classes=1, **flat)) == 7
    # VGG-16 up to its last pooling: groups of 2, 2, 3, 3, 3 convolutions at strides 1 to 16 widen
    # by 4 + 8 + 24 + 48 + 96, the poolings after them by 1 + 2 + 4 + 8 + 16: with the pixel itself
    # 212. Bilinear enlarging reads the neighbouring cell too, 32 pixels on.
    assert receptive_field(build("fcn", in_channels=4, classes=1)) == 212 + 32


def test_a_network_is_left_as_it_was():
    network = build("unet", in_channels=2, classes=1, encoder_arguments=NARROW["resnet18"])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    receptive_field(network)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_what_is_not_known_is_said():
    class Rolled(torch.nn.Module):
        stride = 1

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 1, 1)

        def forward(self, inputs):
            return Output(mask=self.conv(inputs.x).repeat_interleave(2, dim=3))

    with pytest.raises(ModelError, match="How far repeat_interleave sees is not known"):
        receptive_field(Rolled())


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_table_of_the_documentation_is_true(name):
    [line] = [
        line for line in DOCUMENTED.read_text().splitlines() if line.startswith(f"| `{name}` |  |")
    ]
    stride, reach, parameters = (cell.strip() for cell in line.split("|")[3:6])
    with torch.device("meta"):
        network = build(name, in_channels=4, classes=1)
    assert int(stride) == network.stride
    assert reach == str(receptive_field(network) or "patch")
    assert parameters == f"{sum(value.numel() for value in network.parameters()):,}"
