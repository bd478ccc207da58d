import json

import pytest

from glacierx.training.journal import Journal


def row(step, loss=0.5, iou=0.4, **validation):
    scores = {name: {"iou": value} for name, value in validation.items()}
    return {"step": step, "loss": loss, "iou": iou, "validation": scores}


def test_a_log_that_goes_on_has_each_step_once(tmp_path):
    first = Journal(tmp_path)
    for step in (10, 20, 30):
        first.add(row(step))
    second = Journal(tmp_path)
    second.cut(20)
    for step in (30, 40):
        second.add(row(step, loss=0.1))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [
        (10, 0.5), (20, 0.5), (30, 0.1), (40, 0.1),
    ]  # fmt: skip


@pytest.mark.parametrize("litter", ["{", '{"loss": 1}\n', "[1]\n", "null\n"])
def test_a_log_with_litter_is_taken_up_to_it(tmp_path, litter):
    (tmp_path / "log.jsonl").write_text(json.dumps(row(10)) + "\n" + litter)
    journal = Journal(tmp_path)
    journal.cut(50)
    journal.add(row(60))
    lines = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [10, 60]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.cut(5)
    journal.add(row(10))
    journal.write("record.json", {})
    assert not list(tmp_path.iterdir())
