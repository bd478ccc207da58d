"""Means and standard deviations of runs, worked out by hand."""

import csv
import io
import math

import pytest

from glacierx.experiments.runs import Outcome, Run, runs_of
from glacierx.experiments.table import summary, table_csv, table_record, table_text
from glacierx.training.options import SplitOptions, TrainOptions


def outcome(fold, seed, tp, fp, fn, tn, **changes):
    counts = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    return Outcome(Run(f"fold{fold}-seed{seed}", seed, fold), "test", counts, **changes)


# IoU .5, .25; .75, .25: by seed and pooled 75 of 200 and 100 of 200.
RUNS = [
    outcome(1, 0, 50, 25, 25, 100), outcome(2, 0, 25, 25, 50, 0),
    outcome(1, 1, 75, 25, 0, 100), outcome(2, 1, 25, 50, 25, 0),
]  # fmt: skip


def test_means_and_deviations_over_runs_and_over_seeds_with_folds_pooled():
    found = summary(RUNS)
    assert found["runs"]["count"]["iou"] == 4
    assert found["runs"]["mean"]["iou"] == pytest.approx((0.5 + 0.25 + 0.75 + 0.25) / 4)
    # Squares of what they differ from 7 / 16: 1, 9, 25 and 9 of 256; of a sample over 3.
    assert found["runs"]["std"]["iou"] == pytest.approx(math.sqrt((1 + 9 + 25 + 9) / 256 / 3))
    assert found["pooled"]["count"]["iou"] == 2
    assert found["pooled"]["mean"]["iou"] == pytest.approx((75 / 200 + 100 / 200) / 2)
    assert found["pooled"]["std"]["iou"] == pytest.approx(0.125 / math.sqrt(2))


def test_a_seed_that_lacks_a_fold_is_not_pooled():
    failed = Outcome(Run("fold2-seed1", 1, 2), reason="It broke.")
    found = summary([*RUNS[:3], failed])
    assert found["runs"]["count"]["iou"] == 3
    assert found["pooled"]["count"]["iou"] == 1
    assert found["pooled"]["mean"]["iou"] == pytest.approx(75 / 200)
    assert math.isnan(found["pooled"]["std"]["iou"])


def test_what_is_not_defined_is_left_out():
    bare = outcome(1, 0, 0, 0, 0, 100)
    found = summary([bare, RUNS[1]])
    assert found["runs"]["count"]["iou"] == 1
    assert found["runs"]["mean"]["iou"] == pytest.approx(0.25)
    assert table_record([bare])["runs"][0]["iou"] is None


def test_text_csv_and_record_say_the_same():
    failed = Outcome(Run("fold3-seed0", 0, 3), reason="It broke.")
    lines = table_text([*RUNS, failed]).splitlines()
    assert lines[0].split()[:2] == ["run", "scored"]
    assert lines[1].split()[:3] == ["fold1-seed0", "test", "0.5000"]
    assert lines[5].split() == ["fold3-seed0", "failed", "-", "-", "-", "-"]
    assert lines[6].split()[:2] == ["mean", "0.4375"]
    rows = list(csv.DictReader(io.StringIO(table_csv([*RUNS, failed]))))
    assert [row["run"] for row in rows[-4:]] == ["mean", "std", "mean_pooled", "std_pooled"]
    assert float(rows[0]["iou"]) == 0.5
    assert rows[0]["tp"] == "50"
    assert (rows[4]["state"], rows[4]["reason"], rows[4]["iou"]) == ("failed", "It broke.", "")
    assert float(rows[5]["iou"]) == pytest.approx(0.4375)
    record = table_record([*RUNS, failed])
    assert record["over_runs"]["mean"]["iou"] == pytest.approx(0.4375)


def test_runs_are_folds_by_seeds():
    options = TrainOptions(seed=5)
    found = runs_of(SplitOptions(split="folds:3"), options, 2)
    assert [run.name for run in found] == [
        "fold1-seed5", "fold1-seed6", "fold2-seed5", "fold2-seed6", "fold3-seed5", "fold3-seed6",
    ]  # fmt: skip
    assert [run.name for run in runs_of(SplitOptions(split="block"), options, 2)] == [
        "seed5", "seed6",
    ]  # fmt: skip
