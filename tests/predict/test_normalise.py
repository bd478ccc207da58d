import pytest

from glacierx.errors import ModelError
from glacierx.predict.normalise import Normalisation


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "zscore"}, "'zscore'; known are joint-minmax-patch"),
        ({"low": 99, "high": 1}, "percentiles 99 and 1"),
        ({"kind": "fixed"}, "needs a mean and a std"),
        ({"kind": "fixed", "mean": (1.0,), "std": (0.0,)}, "must be above 0"),
    ],
)
def test_a_normalisation_that_cannot_be(arguments, message):
    with pytest.raises(ModelError, match=message):
        Normalisation(**arguments)
