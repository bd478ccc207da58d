import pytest
import torch

from glacierx.predict.tta import VIEWS, turn, turn_back


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_undone_exactly(name):
    x = torch.arange(2 * 3 * 5 * 5, dtype=torch.float32).reshape(2, 3, 5, 5)
    for view in VIEWS[name]:
        assert torch.equal(turn_back(turn(x, view), view), x)


def test_the_sets_hold_the_views_that_they_are_named_for():
    x = torch.arange(9.0).reshape(1, 1, 3, 3)

    def shown(name):
        return {tuple(turn(x, view).flatten().tolist()) for view in VIEWS[name]}

    six = [x, x.flip(-1), x.flip(-2), x.flip(-1, -2), torch.rot90(x, 1, (2, 3)),
           torch.rot90(x, -1, (2, 3))]  # fmt: skip
    assert shown("chu6") == {tuple(view.flatten().tolist()) for view in six}
    assert len(shown("d4")) == 8
    assert shown("chu6") < shown("d4")
    assert shown("none") == {tuple(range(9))}
    assert len(VIEWS["chu6"]) == 6
