import json
import shutil

import pytest
import torch
from factories import disc_sample, quick, tiny_card

from glacierx.errors import ModelError, OutputError
from glacierx.predict.modelfile import build_model
from glacierx.training.run import STATE, Place, learn
from glacierx.training.state import load_state, read_about, save_state

SCENES = [disc_sample(0), disc_sample(1), disc_sample(2, "validation")]


class KilledError(Exception):
    pass


def killed_after(epochs, folder, options, scenes=SCENES):
    """Run until a number of epochs were told of, then die as by a signal."""
    told = []

    def progress(done, total, what):
        told.append(done)
        if len(told) == epochs:
            raise KilledError

    with pytest.raises(KilledError):
        learn(build_model(tiny_card()), scenes, options, Place(folder), progress=progress)


def log(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "patches_per_s")} for row in rows]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.0},
        {"accumulate": 2, "schedule": "cosine"},
        {"optimiser": "sgd", "nesterov": True, "schedule": "multistep", "milestones": "2"},
        {"optimiser": "adam", "schedule": "poly"},
    ],
)
def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path, changes):
    options = quick(epochs=4, **changes)
    # The network of the last step, not the best one alone: nothing of either may differ.
    whole = learn(build_model(tiny_card()), SCENES, options, Place(tmp_path / "whole"))
    killed_after(2, tmp_path / "cut", options)
    found = learn(build_model(tiny_card()), SCENES, options, Place(tmp_path / "cut", resume=True))
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    assert [row["step"] for row in log(tmp_path / "cut")] == sorted(
        {row["step"] for row in log(tmp_path / "whole")}
    )
    assert found.card == whole.card
    for name, value in whole.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], value), name
    first, second = ((tmp_path / folder / STATE).read_bytes() for folder in ("whole", "cut"))
    assert first == second


def test_moments_come_back_in_the_layout_of_their_weights(tmp_path):
    # The fused optimiser pairs weights and moments by address: rows of numbers in memory.
    network = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    network(torch.rand(1, 2, 5, 5)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "s.safetensors", {"network": network}, optimizer, {"step": 1})
    other = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    again = torch.optim.AdamW(other.parameters(), fused=True)
    assert load_state(tmp_path / "s.safetensors", {"network": other}, again) == {"step": 1}
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        for name, value in optimizer.state[mine].items():
            assert torch.equal(again.state[theirs][name], value)
            assert again.state[theirs][name].stride() == value.stride()


def test_a_folder_that_holds_a_run_is_not_begun_anew(tmp_path):
    learn(build_model(tiny_card()), SCENES, quick(epochs=1), Place(tmp_path))
    with pytest.raises(OutputError, match=r"holds a run already\. Go on with --resume, or --over"):
        learn(build_model(tiny_card()), SCENES, quick(epochs=1), Place(tmp_path))
    before = (tmp_path / STATE).read_bytes()
    learn(build_model(tiny_card()), SCENES, quick(epochs=1, seed=3),
          Place(tmp_path, overwrite=True))  # fmt: skip
    assert (tmp_path / STATE).read_bytes() != before
    assert len(log(tmp_path)) == 1


def test_a_finished_run_is_finished_again_at_once(tmp_path):
    first = learn(build_model(tiny_card()), SCENES, quick(), Place(tmp_path))
    told = []
    again = learn(
        build_model(tiny_card()), SCENES, quick(), Place(tmp_path, resume=True),
        progress=lambda *found: told.append(found),
    )  # fmt: skip
    assert not told
    assert again.card == first.card
    for name, value in first.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)


def test_resume_begins_where_nothing_was_kept_yet(tmp_path):
    killed = quick(epochs=1)
    trained = learn(build_model(tiny_card()), SCENES, killed, Place(tmp_path / "x", resume=True))
    assert trained.card.training["best"]["step"] == 4


@pytest.mark.parametrize("what", ["option", "scene", "weights", "version", "pixels"])
def test_a_run_of_something_else_is_not_gone_on_with(tmp_path, monkeypatch, what):
    killed_after(1, tmp_path, quick())
    model, scenes, options = build_model(tiny_card()), list(SCENES), quick()
    if what == "option":
        options = quick(lr=2e-3)
    if what == "scene":
        scenes = scenes[1:]
    if what == "pixels":
        scenes[0] = disc_sample(0, about={"sha256": "another"})
    if what == "weights":
        model = build_model(tiny_card(), seed=9)
    if what == "version":
        monkeypatch.setattr("glacierx.training.run.version", lambda name: "0.0.0")
    with pytest.raises(ModelError, match="is of a run with other scenes, options or versions"):
        learn(model, scenes, options, Place(tmp_path, resume=True))


@pytest.mark.parametrize("harm", ["cut", "text", "empty", "foreign"])
def test_a_damaged_state_is_said_on_one_line(tmp_path, harm):
    killed_after(1, tmp_path, quick())
    path = tmp_path / STATE
    data = path.read_bytes()
    if harm == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(1)}, path, metadata={"glacierx_training": "[]"})
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"hello", "empty": b""}[harm])
    with pytest.raises(ModelError, match="is no state of a training run, or is damaged") as found:
        learn(build_model(tiny_card()), SCENES, quick(), Place(tmp_path, resume=True))
    assert "\n" not in str(found.value)
    shutil.rmtree(tmp_path)


def test_a_state_of_another_network_is_refused(tmp_path):
    network = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(network.parameters())
    save_state(tmp_path / "s.safetensors", {"network": network}, optimizer, {"step": 1})
    assert read_about(tmp_path / "s.safetensors")["about"] == {"step": 1}
    other = torch.nn.Linear(4, 3)
    with pytest.raises(ModelError, match="cannot be gone on from"):
        load_state(tmp_path / "s.safetensors", {"network": other}, optimizer)
