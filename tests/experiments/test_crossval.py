"""Every fold with every seed: resumed, skipped, failing, scored on what was held out."""

import json

import pytest
import torch
from factories import disc_sample, quick, tiny_card

from glacierx.errors import BatchError, OptionError, OutlineError
from glacierx.experiments import crossval as module
from glacierx.experiments.crossval import crossval
from glacierx.predict.modelfile import load_network
from glacierx.training.options import SplitOptions
from glacierx.training.run import Place, view_of
from glacierx.training.samples import ICE, save_samples
from glacierx.training.train import scaling_of
from glacierx.training.validate import validate

CARD = tiny_card()
OPTIONS = quick(epochs=1, epoch_patches=8)
TWO = SplitOptions(split="folds:2", validation_share=0.3)


def sources():
    return [
        disc_sample(
            number, name=f"s{number}",
            about={"footprint": [10 + number, 46.0, 10.1 + number, 46.1]},
        )
        for number in range(4)
    ]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    about = {"scaling": scaling_of(CARD)}
    return save_samples(sources(), tmp_path / "s.npz", about=about)


def tried(data, folder, *, split=TWO, options=OPTIONS, **changes):
    told = []
    found = crossval(data, CARD, folder, options, split, say=told.append, **changes)
    return found, told


def test_each_scene_is_held_out_once_and_scored(data, tmp_path):
    found, told = tried(data, tmp_path / "runs", seeds=2)
    found.check()
    assert [one.run.name for one in found.outcomes] == [
        "fold1-seed0", "fold1-seed1", "fold2-seed0", "fold2-seed1",
    ]  # fmt: skip
    assert told[0].startswith("1/4 fold1-seed0 done: IoU 0.")
    ice = sum(int((source.label == ICE).sum()) for source in sources())
    pixels = sum(source.label.size for source in sources())
    for seed in (0, 1):
        counts = [one.counts for one in found.outcomes if one.run.seed == seed]
        assert sum(sum(four.values()) for four in counts) == pixels
        assert sum(four["tp"] + four["fn"] for four in counts) == ice
    folder = tmp_path / "runs" / "fold2-seed1"
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors", "model.training", "scores.json",
    }  # fmt: skip
    record = json.loads((folder / "model.training" / "record.json").read_text())
    parts = {scene["name"]: scene["part"] for scene in record["card"]["training"]["scenes"]}
    assert sorted(parts.values()) == ["test", "test", "train", "validation"]
    whole = json.loads((tmp_path / "runs" / "results.json").read_text())
    assert whole["split"]["split"] == "folds:2"
    assert len(whole["runs"]) == 4
    assert (tmp_path / "runs" / "results.csv").read_text().startswith("run,fold,seed,part,state")


def test_a_run_is_scored_by_its_model_on_what_it_never_saw(data, tmp_path):
    found, _ = tried(data, tmp_path / "runs")
    model = load_network(tmp_path / "runs" / "fold1-seed0" / "model.safetensors")
    seen = {s["name"] for s in model.card.training["scenes"] if s["part"] != "test"}
    held = [source for source in sources() if source.name not in seen]
    assert len(held) == 2
    view = view_of(model, OPTIONS, Place().device)
    tp, fp, fn, tn = validate(model.network, held, view).pooled().four()
    counts = found.outcomes[0].counts
    assert counts == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def test_what_is_done_is_not_done_again_and_the_table_is_the_same(data, tmp_path):
    folder = tmp_path / "runs"
    first, _ = tried(data, folder)
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}
    again, told = tried(data, folder)
    assert all(one.skipped for one in again.outcomes)
    assert "done before" in told[0]
    assert str(again) == str(first)
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}
    more, _ = tried(data, folder, seeds=2)
    assert [one.skipped for one in more.outcomes] == [True, False, True, False]
    anew, _ = tried(data, folder, place=Place(overwrite=True))
    assert not any(one.skipped for one in anew.outcomes)
    assert str(anew) == str(first)


def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(data, tmp_path):
    options = quick(epochs=3, epoch_patches=8)

    class KilledError(Exception):
        pass

    def kill(done, total, what):
        if what.startswith("loss") and done == 4:
            raise KilledError

    tried(data, tmp_path / "whole", options=options)
    with pytest.raises(KilledError):
        tried(data, tmp_path / "cut", options=options, progress=kill)
    assert not (tmp_path / "cut" / "fold1-seed0" / "scores.json").exists()
    tried(data, tmp_path / "cut", options=options)
    for name in ("fold1-seed0", "fold2-seed0"):
        one, other = (
            (tmp_path / kind / name / "model.safetensors").read_bytes() for kind in ("whole", "cut")
        )
        assert one == other


def test_a_run_that_fails_stops_no_other_and_is_done_again(data, tmp_path, monkeypatch):
    real = module.do_run

    def broken(run, *args, **kwargs):
        if run.fold == 1:
            raise OutlineError("The labels\nbroke.")
        return real(run, *args, **kwargs)

    monkeypatch.setattr(module, "do_run", broken)
    found, told = tried(data, tmp_path / "runs")
    assert told[0] == "1/2 fold1-seed0 failed: The labels broke."
    assert [bool(one.reason) for one in found.outcomes] == [True, False]
    with pytest.raises(BatchError, match="1 of 2 runs failed: fold1-seed0") as error:
        found.check()
    assert error.value.exit_code == 3
    monkeypatch.undo()
    again, _ = tried(data, tmp_path / "runs")
    assert [one.skipped for one in again.outcomes] == [False, True]
    again.check()


def test_runs_with_other_options_are_neither_mixed_nor_replaced(data, tmp_path):
    tried(data, tmp_path / "runs")
    before = (tmp_path / "runs" / "fold1-seed0" / "model.safetensors").read_bytes()
    found, told = tried(data, tmp_path / "runs", options=quick(epochs=1, epoch_patches=8, lr=0.002))
    assert len(found.failed) == 2
    assert "holds a run with other scenes, options or versions" in told[0]
    assert (tmp_path / "runs" / "fold1-seed0" / "model.safetensors").read_bytes() == before


def test_seeds_without_folds_are_scored_on_their_validation(data, tmp_path):
    parted = [
        disc_sample(number, part) for number, part in enumerate(("train", "train", "validation"))
    ]
    about = {"scaling": scaling_of(CARD)}
    save_samples(parted, tmp_path / "parts.npz", about=about)
    found, _ = tried(tmp_path / "parts.npz", tmp_path / "runs", split=SplitOptions(), seeds=2)
    assert [one.part for one in found.outcomes] == ["validation", "validation"]
    files = [tmp_path / "runs" / f"seed{seed}" / "model.safetensors" for seed in (0, 1)]
    first, second = (load_network(file).network.state_dict()["head.weight"] for file in files)
    assert not torch.equal(first, second)


def test_patches_that_the_network_cannot_take_are_refused_at_once(data, tmp_path):
    with pytest.raises(OptionError, match="not divisible by the network's stride"):
        tried(data, tmp_path / "runs", options=quick(patch_px=40))
    assert not (tmp_path / "runs").exists()
