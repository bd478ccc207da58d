"""Every architecture of the table against the contract in networks/__init__.py."""

import inspect
import json

import pytest
import torch
from narrow_networks import NARROW, SMALL

from glacierx.errors import ModelError
from glacierx.networks import ARCHITECTURES, architectures, build
from glacierx.networks.layers import Inputs, Output

# The same architectures otherwise, after a colon: a stem of stride 2, finer maps, told of planes,
# other encoders and units.
OTHERWISE = {
    "attention_deeplabv3plus:starter": {
        "depth": 18, "widths": [8, 8, 8, 16, 32], "stem_stride": 2, "rates": [2, 4, 6],
        "pyramid_width": 16, "low_width": 4, "skips": [2, 1, 0], "decoder_widths": [16, 8, 8],
        "presence": True, "dropouts": [0.2, 0.0],
    },
    "deeplabv3plus:drn": {
        "encoder": "drn", "encoder_arguments": {**NARROW["drn"], "dropout": 0.1},
        "rates": [1, 3], "pyramid_width": 8, "low_width": None, "decoder_layers": 2,
        "separable": True, "branch": "maxpool", "presence": True,
    },
    "deeplabv3plus:fine": {
        "depth": 18, "widths": [8, 8, 8, 16, 32], "pyramid_width": 16, "skips": [3, 0],
    },
    "fcn:16": {"encoder": "resnet18", "encoder_arguments": NARROW["resnet18"], "out_stride": 16},
    "unet:aspp": {
        "encoder": "plain", "encoder_arguments": {**NARROW["plain"], "activated": "leaky"},
        "bottleneck": "aspp", "bottleneck_width": 8, "rates": [1, 2], "activated": "leaky",
        "dropout": 0.2, "up": "bilinear", "head_kernel": 1,
    },
    "unet:normless": {
        "encoder": "plain", "encoder_arguments": {**NARROW["plain"], "norm": False, "stem": 6,
                                                  "activated": "elu", "residual": True},
        "norm": False, "residual": True, "activated": "elu", "cse": True, "convolutions": 1,
    },
    "unet:recurrent": {
        "encoder": "plain", "encoder_arguments": {**NARROW["plain"], "recurrent": 2},
        "recurrent": 2, "up": "convt",
    },
}  # fmt: skip
EVERY = {**SMALL, **OTHERWISE}

everyone = pytest.mark.parametrize("name", sorted(EVERY))


def architecture(name):
    return name.partition(":")[0]


def small(name, in_channels=4, classes=1):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(architecture(name), in_channels=in_channels, classes=classes, **EVERY[name])


def pixels(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def test_the_table_is_sorted_and_tested():
    assert list(ARCHITECTURES) == sorted(ARCHITECTURES)
    assert set(SMALL) == set(ARCHITECTURES)
    assert architectures().items() >= ARCHITECTURES.items()


def test_an_unknown_name_or_argument_is_named():
    with pytest.raises(ModelError, match=r"No architecture is called 'unet99'\. Known: attention"):
        build("unet99", in_channels=4, classes=1)
    with pytest.raises(ModelError, match=r"'deeplabv3plus' cannot be built: .*colour"):
        build("deeplabv3plus", in_channels=4, classes=1, colour="red")


@everyone
def test_arguments_are_keywords_that_json_can_hold(name):
    parameters = list(inspect.signature(type(small(name)).__init__).parameters.values())[1:]
    assert [parameter.name for parameter in parameters[:2]] == ["in_channels", "classes"]
    for parameter in parameters[2:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert json.dumps(parameter.default)


@everyone
@pytest.mark.parametrize("in_channels", [1, 6, 13])
@pytest.mark.parametrize("classes", [1, 3])
def test_any_number_of_channels_and_classes(name, in_channels, classes):
    network = small(name, in_channels, classes).eval()
    output = network(Inputs(pixels(2, in_channels, 64, 64)))
    assert isinstance(output, Output)
    assert output.mask.shape == (2, classes, 64, 64)
    assert output.auxiliary == ()


@everyone
@pytest.mark.parametrize("times", [(4, 4), (2, 6), (8, 5)])
def test_any_size_that_the_stride_divides(name, times):
    network = small(name).eval()
    size = tuple(number * network.stride for number in times)
    assert network(Inputs(pixels(1, 4, *size))).mask.shape[-2:] == size


@everyone
def test_other_sizes_are_refused_with_the_padded_size(name):
    network = small(name).eval()
    padded = network.stride * 5
    with pytest.raises(ModelError, match=f"Pad it to {padded} x {padded}"):
        network(Inputs(pixels(1, 4, padded - 3, padded - 1)))


@everyone
def test_gradients_reach_every_parameter(name):
    network = small(name).train()
    output = network(Inputs(pixels(2, 4, 64, 64)))
    output.mask.square().mean().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None]
    assert not without
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())


@everyone
def test_items_of_a_batch_do_not_mix_in_eval(name):
    network = small(name).eval()
    x = pixels(3, 4, 64, 64)
    with torch.inference_mode():
        together = network(Inputs(x)).mask
        alone = torch.cat([network(Inputs(item[None])).mask for item in x])
    assert torch.allclose(together, alone, atol=1e-5)


@everyone
def test_name_arguments_and_weights_rebuild_it(name):
    network, other = small(name).eval(), small(name).eval()
    for value in other.parameters():
        torch.nn.init.zeros_(value)
    other.load_state_dict(network.state_dict())
    x = pixels(1, 4, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(Inputs(x)).mask, other(Inputs(x)).mask)


@everyone
def test_the_output_is_logits_and_does_not_depend_on_absent_inputs(name):
    network = small(name).eval()
    x = pixels(1, 4, 64, 64)
    with torch.inference_mode():
        bare = network(Inputs(x)).mask
        full = network(Inputs(x, present=torch.ones(1, 4), location=torch.zeros(1, 2))).mask
        list(network.parameters())[-1].add_(50)  # the last bias: a sigmoid would not pass it on
        shifted = network(Inputs(x)).mask
    assert torch.equal(bare, full)
    assert torch.allclose(shifted, bare + 50, atol=1e-4)


@everyone
def test_evaluation_is_deterministic_and_leaves_the_generator_alone(name):
    network = small(name).eval()
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        x = pixels(1, 4, 64, 64)
        assert torch.equal(network(Inputs(x)).mask, network(Inputs(x)).mask)
    assert torch.equal(state, torch.random.get_rng_state())


@everyone
def test_it_can_be_exported(name):
    network = small(name).eval()
    x = pixels(1, 4, 64, 64)
    exported = torch.export.export(network, (Inputs(x),))
    assert torch.allclose(exported.module()(Inputs(x)).mask, network(Inputs(x)).mask, atol=1e-5)


@everyone
def test_the_docstring_gives_the_paper_and_the_parameters(name):
    network = build(architecture(name), in_channels=4, classes=1)
    count = sum(value.numel() for value in network.parameters())
    text = inspect.getdoc(type(network))
    assert f"{count:,} parameters" in text
    assert "20" in text
