"""What `benchmarks/fuzz.py` does for minutes, for a second or two each."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
SPEC = importlib.util.spec_from_file_location("fuzz", FILE)
fuzz = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)

EXAMPLES = {"raster": 60, "vrt": 60, "vector": 40, "model": 60, "geojson": 80}


@pytest.mark.parametrize("name", fuzz.targets())
def test_nothing_but_our_own_errors_is_raised(name):
    strategy, target = fuzz.targets()[name]
    fuzz.fuzz(strategy, target, examples=EXAMPLES.get(name, 150), number=7)


def test_what_crashes_is_found():
    def crash(drawn, folder):
        assert "x" not in str(drawn)

    with pytest.raises(AssertionError):
        fuzz.fuzz(fuzz.st.text(), crash, examples=2000, number=1)
