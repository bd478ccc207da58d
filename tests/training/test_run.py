import json
import warnings

import numpy as np
import pytest
import torch
from factories import TINY, disc_sample, quick, tiny_card

from glacierx.errors import GlacierxWarning, ModelError, OptionError, OutlineError, OutputError
from glacierx.predict.modelfile import Model, build_model, load_network, save_network
from glacierx.predict.normalise import Normalisation
from glacierx.predict.precision import choose_precision
from glacierx.training.loop import Learner
from glacierx.training.run import Place, learn, view_of
from glacierx.training.samples import OTHER, Sample
from glacierx.training.validate import Validation

SCENES = [disc_sample(0), disc_sample(1), disc_sample(2, "validation")]
CPU = torch.device("cpu")


def trained(folder=None, scenes=SCENES, seed=0, **changes):
    return learn(build_model(tiny_card(), seed), scenes, quick(**changes), Place(folder))


def bare(part, seed=5):
    """A scene that shows no ice at all."""
    sample = disc_sample(seed, part)
    return Sample(
        f"bare/{part}", sample.roles, sample.values, np.full_like(sample.label, OTHER), 10.0, part
    )


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_learns_a_disc(tmp_path):
    card = tiny_card(arguments={**TINY, "skips": [0], "dropouts": [0.0, 0.0]})
    options = quick(epochs=6, epoch_patches=32, lr=2e-2, augment="flips", band_dropout=0.0)
    found = learn(build_model(card), SCENES, options, Place(tmp_path))
    rows = log(tmp_path)
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    everything = SCENES[2].label.mean()  # the IoU of calling everything glacier
    assert found.card.scores["validation"]["all"]["iou"] > 2 * everything
    best = found.card.training["best"]["value"]
    assert best == pytest.approx(max(row["value"] for row in rows), abs=1e-6)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model = trained(tmp_path / f"run-{name}", seed=seed)
        save_network(model, tmp_path / f"{name}.safetensors")
    first, second, third = ((tmp_path / f"{n}.safetensors").read_bytes() for n in "abc")
    assert first == second
    assert first != third
    one, other = (trained(seed=0), learn(build_model(tiny_card()), SCENES, quick(seed=7)))
    assert not all(
        torch.equal(value, other.network.state_dict()[name])
        for name, value in one.network.state_dict().items()
    )


def test_a_folder_changes_nothing_of_the_model(tmp_path):
    assert trained(tmp_path).card == trained().card


def test_the_card_says_what_was_done_and_neither_where_nor_when(tmp_path):
    model = learn(
        build_model(tiny_card()), SCENES, quick(), Place(tmp_path / "secret-folder"),
        about={"scenes": [{"sha256": "abc"}], "footprints": [[10.0, 46.0, 11.0, 47.0]]},
    )  # fmt: skip
    path = save_network(model, tmp_path / "m.safetensors")
    card = load_network(path).card
    assert card.training["scenes"] == [{"sha256": "abc"}]
    assert card.training["options"] == quick().as_record()
    assert card.training["precision"] == "fp32"
    assert set(card.training["versions"]) == {"glacierx", "torch", "numpy", "scipy", "safetensors"}
    assert card.training["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert set(card.training["best"]) == {"step", "value"}
    assert card.temperature != 1.0
    assert card.scores["reliability"]["after"]["ece"] <= card.scores["reliability"]["before"]["ece"]
    assert b"secret-folder" not in path.read_bytes()
    assert not any(word in card.to_json() for word in ("written", "seconds", "patches_per_s"))


def test_the_folder_of_a_run_holds_log_curves_pictures_and_record(tmp_path):
    trained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "log.jsonl", "curves.png", "pictures", "record.json", "state.safetensors",
    }  # fmt: skip
    rows = log(tmp_path)
    assert [row["step"] for row in rows] == [4, 8]
    assert set(rows[0]["validation"]["all"]) == {
        "iou", "f1", "recall", "precision", "balanced_accuracy",
    }  # fmt: skip
    assert [file.name for file in (tmp_path / "pictures").iterdir()] == ["0_made_validation2.png"]
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["card"]["name"] == "tiny"
    assert record["written"].endswith("Z")


def test_scenes_of_one_name_have_a_picture_each_and_names_lead_nowhere(tmp_path):
    held = [disc_sample(n, "validation", name="../../evil/img.tif") for n in (2, 3)]
    trained(tmp_path / "run", [SCENES[0], *held])
    assert len(list((tmp_path / "run" / "pictures").iterdir())) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_the_best_weights_are_taken_and_not_the_last(monkeypatch):
    values = iter([0.3, 0.9, 0.5, 0.9])
    seen = []

    def value(self, metric):
        return next(values)

    def progress(done, total, what):
        seen.append(done)

    monkeypatch.setattr(Validation, "value", value)
    found = learn(build_model(tiny_card()), SCENES, quick(epochs=4), progress=progress)
    assert found.card.training["best"] == {"step": 8, "value": 0.9}
    assert seen == [4, 8, 12, 16]
    # The same run of two epochs ends with these weights: the rate does not change in between.
    values = iter([0.3, 0.9, 0.5, 0.9])
    options = quick(epochs=4, schedule="constant")
    four = learn(build_model(tiny_card()), SCENES, options)
    values = iter([0.3, 0.9])
    two = learn(build_model(tiny_card()), SCENES, quick(epochs=2, schedule="constant"))
    for name, weight in two.network.state_dict().items():
        assert torch.equal(four.network.state_dict()[name], weight)


def test_patience_ends_a_run(monkeypatch, tmp_path):
    values = iter([0.3, 0.9, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(Validation, "value", lambda self, metric: next(values))
    trained(tmp_path, epochs=6, patience=2)
    assert [row["value"] for row in log(tmp_path)] == [0.3, 0.9, 0.5, 0.5]


@pytest.mark.parametrize("held", [[], [bare("validation")]], ids=["nothing", "no ice"])
def test_where_nothing_can_judge_the_last_weights_are_taken_with_a_warning(tmp_path, held):
    with pytest.warns(GlacierxWarning, match="the weights of the last step are taken"):
        found = trained(tmp_path, [*SCENES[:2], *held], epochs=3, patience=1)
    assert found.card.training["best"] == {"step": 12, "value": None}
    assert found.card.temperature == 1.0
    assert len(log(tmp_path)) == 3
    json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)
    json.loads(found.card.to_json(), parse_constant=pytest.fail)


def test_no_warning_where_scenes_can_judge():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(epochs=1)


def test_test_scenes_are_never_looked_at(tmp_path):
    class Closed:
        part, name, roles, shape, gsd_m, group, weight, about = (
            "test", "t", ("green",), (9, 9), 10.0, "all", 1.0, {},
        )  # fmt: skip

        def read(self, *place):
            raise AssertionError

    trained(tmp_path, [*SCENES, Closed()])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch_px": 40}, "--patch-px 40 is not divisible by the network's stride of 16. Give 48"),
        ({"batch": 1}, "--batch 1 gives batch normalisation nothing to compare"),
        ({"precision": "fp16"}, "fp16 needs a CUDA device"),
    ],
)
def test_what_a_network_cannot_learn_from_is_said_before_it_begins(tmp_path, changes, said):
    with pytest.raises(OptionError, match=said):
        trained(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_labels_that_teach_nothing_leave_no_folder(tmp_path):
    with pytest.raises(OutlineError, match="show no ice"):
        trained(tmp_path / "run", [bare("train"), SCENES[2]])
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match=r"The folder .* cannot be made"):
        trained(tmp_path / "run" / "deeper")
    with pytest.raises(OutputError, match=r"The folder .* cannot be made"):
        trained(tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run():
    scene = disc_sample(0)
    values = scene.values.copy()
    values[0, 40:50, 40:50] = np.nan
    broken = Sample("nan", scene.roles, values, scene.label, 10.0)
    with pytest.raises(ModelError, match=r"The loss became nan at step \d+\. Give a smaller --lr"):
        trained(None, [broken, SCENES[2]], augment="none")


def test_the_random_numbers_of_the_caller_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - what is asked is whether it was used
    trained(epochs=1)
    assert torch.equal(torch.rand(4), expected)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_model_that_is_given_is_not_changed():
    model = build_model(tiny_card())
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = learn(model, SCENES, quick())
    assert all(torch.equal(before[n], value) for n, value in model.network.state_dict().items())
    assert isinstance(found, Model)
    assert not found.network.training
    assert found.card.name == model.card.name


def learner(steps=8, scenes=SCENES[:2], card=None, **changes):
    card = card or tiny_card()
    return Learner(
        build_model(card).network, card, scenes, quick(**changes), steps=steps, device=CPU,
        precision=choose_precision("fp32", CPU),
    )  # fmt: skip


def test_steps_can_be_cut_anywhere():
    whole, parts = learner(), learner()
    whole.run(6)
    for until in (1, 4, 6):
        parts.run(until)
    for first, second in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_average_follows_by_its_share():
    """Average after two steps: e (first weights) + (1 - e) (second weights)."""
    moving = learner(ema=0.75, schedule="constant")
    moving.run(1)
    first = [value.detach().clone() for value in moving.network.parameters()]
    moving.run(2)
    second = [value.detach().clone() for value in moving.network.parameters()]
    for a, b, mean in zip(first, second, moving.average.parameters(), strict=True):
        assert torch.allclose(mean, 0.75 * a + 0.25 * b, atol=1e-6)
    plain = learner(ema=0.0)
    assert plain.average is plain.network


def test_accumulated_batches_are_one_step_of_the_mean_gradient():
    # Without batch statistics, dropout and changes, four batches of two are one of eight for BCE.
    class Flat(torch.nn.Module):
        stride = 1

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 1, 1)
            torch.nn.init.constant_(self.layer.weight, 0.1)
            torch.nn.init.zeros_(self.layer.bias)

        def forward(self, inputs):
            from glacierx.networks.layers import Output

            return Output(mask=self.layer(inputs.x))

    found = []
    for batch, accumulate in ((8, 1), (2, 4)):
        options = quick(batch=batch, accumulate=accumulate, augment="none", loss="bce",
                        scale_low=1.0, scale_high=1.0)  # fmt: skip
        one = Learner(Flat(), tiny_card(), SCENES[:2], options, steps=4, device=CPU,
                      precision=choose_precision("fp32", CPU))  # fmt: skip
        one.run(2)
        found.append([value.detach().flatten() for value in one.network.parameters()])
    for first, second in zip(*found, strict=True):
        assert torch.allclose(first, second, atol=1e-6)


def test_patches_of_joint_scaling_are_learnt_from_and_looked_at():
    card = tiny_card(normalisation=Normalisation("joint-minmax-patch"))
    seen = []

    def trust(batch, network, done):
        seen.append(batch.x)
        return torch.ones(len(batch.x), *batch.x.shape[-2:])

    learn(build_model(card), SCENES, quick(epochs=1, augment="flips"), trust=trust)
    for x in seen:
        assert x.amin((1, 2, 3)).tolist() == [0] * len(x)
        assert x.amax((1, 2, 3)).numpy() == pytest.approx(1)


def test_what_is_not_trusted_is_not_learnt_from():
    hidden = learner()
    hidden._trust = lambda batch, network, done: torch.zeros(len(batch.x), *batch.x.shape[-2:])
    running = hidden.run(1)
    assert running.loss == 0
    assert running.iou == 0


def test_tiles_of_a_validation_are_two_patches_wide_and_fit_the_stride():
    network = torch.nn.Module()
    network.stride = 48
    for given, side in ((network, 144), (torch.nn.Module(), 128)):
        assert view_of(Model(given, tiny_card()), quick(patch_px=64), CPU).side == side


def test_bf16_learns_too(tmp_path):
    found = trained(tmp_path, precision="bf16", epochs=1)
    assert found.card.training["precision"] == "bf16"
    assert all(value.dtype != torch.bfloat16 for value in found.network.state_dict().values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_learns_and_goes_on(tmp_path, precision):
    place = Place(tmp_path, device=torch.device("cuda"))
    learn(build_model(tiny_card()), SCENES, quick(precision=precision), place)
    again = Place(tmp_path, resume=True, device=torch.device("cuda"))
    found = learn(build_model(tiny_card()), SCENES, quick(precision=precision), again)
    assert next(found.network.parameters()).device.type == "cpu"
