import json
import math

import pytest

from glacierx.evaluate.scores import is_better_low
from glacierx.evaluate.table import aligned, csv_text, json_text, number, signed, title


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("iou", 0.91234, "0.9123"),
        ("iou", math.nan, "-"),
        ("asd_m", 1234.5, "1,234.50"),
        ("glaciers_found", 1234, "1,234"),
        ("area_bias_percent", 3.2, "+3.20"),
        ("area_bias_percent", -0.001, "0.00"),
        ("hd95_px", math.inf, "-"),
    ],
)
def test_a_number_has_the_digits_that_it_deserves(name, value, text):
    assert number(name, value) == text


def test_differences_have_their_sign():
    assert (signed(1.19), signed(-21.02), signed(0.0)) == ("+1.19", "-21.02", "0.00")


def test_cells_are_padded_to_columns():
    assert aligned([["a", "1"], ["long", "12,345"]]) == ["a          1", "long  12,345"]


def test_a_tolerance_has_a_title_of_its_own():
    assert title("boundary_f1_30m") == "boundary F1, 30 m"
    assert title("boundary_f1_1px") == "boundary F1, 1 pixel"
    assert title("balanced_accuracy") == "balanced accuracy"


def test_csv_quotes_what_needs_it_and_leaves_empty_what_is_none():
    rows = [{"a": "x,y", "b": None}, {"a": math.nan, "b": 2.5, "c": "not asked for"}]
    assert csv_text(("a", "b"), rows) == 'a,b\n"x,y",\n,2.5\n'


def test_json_never_holds_what_is_no_number():
    assert json.loads(json_text({"iou": None})) == {"iou": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"iou": math.nan})


def test_what_is_better_the_lower():
    assert is_better_low("asd_m")
    assert is_better_low("ece")
    assert not is_better_low("iou")
    assert not is_better_low("boundary_f1_30m")
