import numpy as np
import pytest
from scipy import ndimage

from glacierx.simulate.light import (
    SKY,
    Around,
    add_air,
    blurred,
    cast_shadow,
    draw_aloft,
    enlarged,
    far_rays,
    light,
    sky_view,
    smoothstep,
    softened,
)
from glacierx.simulate.spectra import ROLES, spectrum
from glacierx.simulate.weather import Air, Sun

AZIMUTHS = (0, 30, 45, 90, 133, 180, 225, 270, 310, 359)


def cone(side=121, height=600.0, gsd_m=10.0):
    rows, columns = np.indices((side, side)) - side // 2
    return np.maximum(height - np.hypot(rows, columns) * gsd_m, 0).astype(np.float32)


def tower(side=161, height=300.0):
    heights = np.zeros((side, side), np.float32)
    middle = side // 2
    heights[middle - 3 : middle + 4, middle - 3 : middle + 4] = height
    return heights


def flat(name="gneiss", shape=(60, 60)):
    return np.ones((len(ROLES), *shape), np.float32) * spectrum(name)[:, None, None]


def aloft(heights):
    return draw_aloft(heights, np.random.default_rng(0))


@pytest.mark.parametrize("azimuth", AZIMUTHS)
def test_the_shadow_of_a_cone_lies_opposite_the_sun(azimuth):
    shadow = cast_shadow(cone(), 10.0, Sun(azimuth, 20))
    rows, columns = np.indices(shadow.shape) - 60
    toward = np.degrees(
        np.arctan2((columns * shadow).sum(), -(rows * shadow).sum())
    )  # clockwise from north
    assert shadow.sum() > 100
    assert abs((toward - azimuth - 180 + 180) % 360 - 180) < 4


@pytest.mark.parametrize("azimuth", AZIMUTHS)
def test_a_shadow_is_as_long_as_its_tower_is_high_over_the_suns_tangent(azimuth):
    shadow = cast_shadow(tower(), 10.0, Sun(azimuth, 30))
    rows, columns = np.indices(shadow.shape) - 80
    away = -np.array([-np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))])
    along = (rows * away[0] + columns * away[1])[shadow > 0.5]
    # 300 m / tan 30 = 520 m behind the tower's far edge, which is 3 to 5 pixels from its middle.
    assert 52 + 1.5 < along.max() < 52 + 5.5


def test_a_wall_casts_a_shadow_of_its_height_over_the_suns():
    heights = np.zeros((60, 60), np.float32)
    heights[30] = 100.0  # a wall from west to east; the sun stands at 150 degrees, 48 high
    shadow = cast_shadow(heights, 10.0)
    # It falls to the north-north-west; its depth is 100 cos(30) / tan(48) = 78 m, 7.8 pixels.
    depth = int(shadow[:30, 30].sum())
    assert depth in (7, 8)
    assert not shadow[31:].any()


def test_shadows_turn_with_the_terrain():
    heights = cone() + tower(121)
    shadow = cast_shadow(heights, 10.0, Sun(70, 35))
    turned = cast_shadow(np.rot90(heights).copy(), 10.0, Sun(340, 35))
    np.testing.assert_allclose(np.rot90(shadow), turned, atol=1e-3)


@pytest.mark.parametrize("azimuth", AZIMUTHS)
def test_a_window_lies_in_the_shadow_of_mountains_outside_of_it(azimuth):
    # A block of 600 m with a radius of 500 m: its shadow reaches 857 m beyond it. The window lies
    # within, its middle 1 km behind that of the block.
    heights, sun = np.where(cone(301, 1500.0) > 1000, np.float32(600), 0), Sun(azimuth, 35)
    away = np.radians(azimuth + 180)
    row, column = (int(150 + 100 * part) for part in (-np.cos(away), np.sin(away)))
    window = slice(row - 34, row + 35), slice(column - 34, column + 35)
    rays = far_rays(heights, 10.0, sun, 200.0)
    around = Around(np.ones((69, 69), np.float32), rays[window], 20.0)
    inside = (slice(20, -20),) * 2
    whole = cast_shadow(heights, 10.0, sun)[window][inside]
    assert whole.mean() > 0.6
    # Rays are interpolated between pixels twice instead of once.
    seen = cast_shadow(heights[window], 10.0, sun, around)[inside]
    assert np.abs(seen - whole).mean() < 0.02
    assert not cast_shadow(heights[window], 10.0, sun)[inside].any()


@pytest.mark.parametrize("elevation", [20, 45, 80])
def test_a_flat_lit_plane_shows_its_albedo(elevation):
    albedo = flat()
    lit, direct = light(
        albedo, np.zeros((60, 60), np.float32), 10.0, Sun(120, elevation), sky=SKY[::-1]
    )
    np.testing.assert_allclose(lit, albedo, rtol=1e-5)
    np.testing.assert_allclose(direct, 1, rtol=1e-5)


def test_slopes_that_face_the_sun_are_brighter():
    down = np.indices((60, 60))[0] * 3.0  # rises to the south: it faces north
    for azimuth, brighter in ((180, False), (0, True)):
        lit, _ = light(flat(), down.astype(np.float32), 10.0, Sun(azimuth, 40))
        assert (lit[0, 30, 30] > flat()[0, 30, 30]) == brighter


def test_shade_is_dark_and_blue_but_not_black():
    heights = tower(121, 900.0)
    lit, _ = light(flat("snow", heights.shape), heights, 10.0, Sun(180, 30))
    shade, sun = lit[:, 40, 60], lit[:, 100, 20]
    assert 0.04 < shade[0] / sun[0] < 0.35
    assert shade[0] / shade[3] > 1.5 * sun[0] / sun[3]


def test_a_plain_sees_the_sky_and_the_foot_of_a_wall_does_not():
    heights = np.zeros((100, 100), np.float32)
    heights[:, 50:] = 100
    view = sky_view(heights, 10.0)
    assert view[50, 5] > 0.95
    assert view[50, 44] < 0.92  # a quarter of the sky is behind the wall, at most
    assert sky_view(np.zeros((90, 90), np.float32), 10.0).min() == pytest.approx(1)


def test_haze_adds_to_the_blue_and_takes_contrast():
    dark, bright = flat("basalt"), flat("snow")
    heights = np.zeros((60, 60), np.float32)
    air = Air(haze=0.1, haze_exponent=2.0)
    (one, _), (other, _) = (
        add_air(ground, heights, air, aloft(heights)) for ground in (dark, bright)
    )
    gain = (one - dark)[:, 0, 0]
    assert gain[0] == pytest.approx(0.1 - 1.3 * 0.1 * dark[0, 0, 0], rel=1e-3)
    assert np.all(np.diff(gain[:4]) < 0)
    visible = slice(0, 4)
    assert np.all((other - one)[visible] < (bright - dark)[visible])


def test_haze_is_thickest_in_the_valley():
    heights = np.linspace(0, 3000, 80, dtype=np.float32)[:, None] * np.ones((1, 80), np.float32)
    ground = flat("basalt", heights.shape)
    hazy, _ = add_air(ground, heights, Air(haze=0.1), aloft(heights))
    assert np.all(np.diff(hazy[0].mean(axis=1)) < 0)


def test_clear_air_changes_nothing_and_cloud_hides():
    heights, ground = np.zeros((60, 60), np.float32), flat()
    clear, cloud = add_air(ground, heights, Air(), aloft(heights))
    np.testing.assert_array_equal(clear, ground)
    assert not cloud.any()
    seen, cloud = add_air(ground, heights, Air(cloud=0.6), aloft(heights))
    assert 0.2 < cloud.max() <= 0.6
    assert seen[0][cloud > 0.2].min() > clear.max(axis=(1, 2))[0]


def test_a_rough_blur_is_nearly_a_blur():
    field = np.random.default_rng(0).standard_normal((403, 500)).astype(np.float32)
    exact = ndimage.gaussian_filter(field, 25, mode="nearest")
    rough = softened(field, 25)
    inside = (slice(110, -110),) * 2  # beyond four deviations of the frame
    assert np.abs(rough - exact)[inside].max() < 0.2 * exact.std()
    assert softened(field, 2).shape == field.shape


@pytest.mark.parametrize("sigma", [0.5, 3, 15])
def test_a_blur_keeps_the_mean_and_takes_the_detail(sigma):
    field = np.random.default_rng(0).standard_normal((300, 280)).astype(np.float32)
    soft = blurred(field, sigma)
    assert soft.shape == field.shape
    assert soft.mean() == pytest.approx(field.mean(), abs=0.01)
    # White noise after a Gaussian blur has 1 / (2 sqrt(pi) sigma) of its deviation.
    assert soft.std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * sigma), rel=0.25)


def test_enlarging_keeps_a_ramp():
    ramp = np.arange(10, dtype=np.float32)[:, None] * np.ones((1, 10), np.float32)
    wide = enlarged(ramp, (40, 30))
    assert wide.shape == (40, 30)
    assert np.all(np.diff(wide.mean(axis=1)) >= 0)
    assert wide.mean() == pytest.approx(4.5, abs=0.01)


def test_a_smooth_step_rises_from_0_to_1():
    step = smoothstep(np.array([-3, 0, 0.5, 1, 7], np.float32))
    np.testing.assert_allclose(step, [0, 0, 0.5, 1, 1])
