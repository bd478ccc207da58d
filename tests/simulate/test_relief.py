import numpy as np
import pytest

from glacierx.scene.terrain import slope_aspect
from glacierx.simulate.relief import (
    FLOW,
    Relief,
    Streak,
    draw_texture,
    roughened,
    streaks,
    with_debris,
)
from glacierx.simulate.weather import Debris, Land, Weather

GSD_M = 10.0


def slope_to(right, shape=(200, 240), deg=25.0):
    """A plane that rises to the right or downward."""
    rows, columns = np.indices(shape)
    return ((columns if right else rows) * GSD_M * np.tan(np.radians(deg))).astype(np.float32)


def relief_of(heights, glacier=None):
    glacier = np.zeros(heights.shape, np.int64) if glacier is None else glacier
    return Relief(heights, glacier, GSD_M, np.full(heights.shape, 3000, np.float32), 90.0)


def likeness(field, down, right):
    """Correlation of a field with itself so many pixels away."""
    rows, columns = field.shape
    one = field[: rows - down, : columns - right].ravel()
    return np.corrcoef(one, field[down:, right:].ravel())[0, 1]


@pytest.mark.parametrize("streak", [Streak(10, 4, 10), FLOW], ids=["down", "up"])
@pytest.mark.parametrize("right", [True, False])
def test_streaks_run_along_the_slope(right, streak):
    field = streaks(slope_to(right), GSD_M, streak, np.random.default_rng(0))
    along, across = likeness(field, 0, 8), likeness(field, 8, 0)
    if not right:
        along, across = across, along
    assert along > across + 0.2
    assert field.std() == pytest.approx(1, abs=0.2)


def test_textures_are_standardised():
    texture = draw_texture(relief_of(slope_to(True)), np.random.default_rng(0))
    for name in ("grain", "patches", "broad", "fall", "flow"):
        field = getattr(texture, name)
        assert field.dtype == np.float32
        assert field.std() == pytest.approx(1, abs=0.25), name
    down, right = np.gradient(texture.bumps, GSD_M)
    assert np.sqrt((down**2 + right**2).mean()) == pytest.approx(1, rel=1e-3)


def test_rock_is_rough_and_gentle_ice_is_not():
    shape = (200, 240)
    rise = np.where(np.arange(shape[1]) < 120, np.tan(np.radians(25)), np.tan(np.radians(7)))
    heights = (np.cumsum(rise) * GSD_M * np.ones(shape)).astype(np.float32)
    glacier = np.zeros(shape, np.int64)
    glacier[:, 120:] = 1
    relief = relief_of(heights, glacier)
    texture = draw_texture(relief, np.random.default_rng(0))
    rough = roughened(relief, texture, Weather(land=Land(rough_deg=15)))
    change = rough - heights
    assert abs(change.mean()) < 3
    steep = slope_of(change)
    assert 8 < np.sqrt((steep[:, :100] ** 2).mean()) < 35
    assert np.sqrt((steep[:, 140:] ** 2).mean()) < 4
    smooth = roughened(relief, texture, Weather(land=Land(rough_deg=0)))
    assert np.abs(smooth - heights)[:, :100].max() < 0.01


def test_ice_breaks_where_it_is_steep():
    ice = np.ones((200, 240), np.int64)
    gentle, steep = (relief_of(slope_to(True, deg=deg), ice) for deg in (6, 28))
    texture = draw_texture(gentle, np.random.default_rng(0))
    smooth, broken = (
        slope_of(roughened(relief, texture, Weather()) - relief.heights).mean()
        for relief in (gentle, steep)
    )
    assert broken > 3 * smooth


def slope_of(heights):
    """Slope in degrees."""
    return np.degrees(np.arctan(np.hypot(*np.gradient(heights, GSD_M))))


def test_debris_is_hummocky_and_has_moraines_beside_it():
    shape = (200, 200)
    heights = 2000 + np.indices(shape)[0].astype(np.float32)
    glacier = np.zeros(shape, np.int64)
    glacier[:, 60:140] = 1
    relief = relief_of(heights, glacier)
    debris = (glacier > 0).astype(np.float32)
    texture = draw_texture(relief, np.random.default_rng(0))

    def added(**values):
        weather = Weather(debris=Debris(**values))
        return with_debris(heights, relief, texture, debris, weather) - heights

    hummocks = added(hummocks_deg=8, ridge_m=0)
    assert slope_aspect(hummocks, GSD_M)[0][:, 70:130].mean() > 3
    assert np.abs(hummocks[:, :40]).max() < 0.1
    ridge = added(hummocks_deg=0, ridge_m=30)
    # 45 m from the ice, which ends at column 60.
    assert 50 <= ridge[100, :60].argmax() <= 58
    assert 12 < ridge[100, :60].max() <= 30
    assert ridge[100, :30].max() < 1
    assert np.abs(ridge[:, 70:130]).max() < 1
