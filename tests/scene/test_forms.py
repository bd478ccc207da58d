import tracemalloc

import numpy as np
import pytest
from affine import Affine
from factories import utm_grid, write_tif
from rasterio.windows import Window
from relief_grids import DEMS, SCENES, UTM, in_utm

from glacierx.scene.forms import derivatives, forms, reach_of
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.relief import FORMS, Relief, frame
from glacierx.scene.terrain import Dem

ALL = tuple(FORMS)
CELL_M = 10.0


def square(shape, cell_m=CELL_M):
    """The frame of a north-up grid of square cells."""
    return np.ones(shape) * np.array([cell_m, 0, 0, -cell_m])[:, None, None]


def ground(side, cell_m=CELL_M, middle=(0.0, 0.0)):
    """East and north of cells in metres, from the middle one."""
    row, column = np.indices((side, side)) - side // 2
    return column * cell_m + middle[0], -row * cell_m + middle[1]


def of(heights, roles, cell_m=CELL_M):
    """Forms away from the frame."""
    found = forms(heights, square(heights.shape, cell_m), roles)
    return found[:, 4:-4, 4:-4]


def sphere(x, y, radius):
    return np.sqrt(radius**2 - x**2 - y**2)


@pytest.mark.parametrize("window", [3, 5, 9])
def test_a_quadratic_is_fitted_exactly_whatever_the_window(window):
    row, column = np.indices((21, 23)).astype(float)
    z = 3 * column**2 - 2 * row**2 + 0.5 * row * column + 7 * column - 4 * row + 100
    found = derivatives(z, window)
    expected = (6 * column + 0.5 * row + 7, -4 * row + 0.5 * column - 4, 6, -4, 0.5)
    for mine, right in zip(found, expected, strict=True):
        inner = np.s_[window // 2 : -(window // 2), window // 2 : -(window // 2)]
        assert np.allclose(mine[inner], np.broadcast_to(right, z.shape)[inner])


def test_the_fit_is_the_one_of_least_squares():
    noise = np.random.default_rng(0).normal(size=(5, 5))
    row, column = (axis.ravel() - 2.0 for axis in np.indices((5, 5)))
    terms = np.stack([column, row, column**2 / 2, row**2 / 2, row * column, np.ones(25)], axis=1)
    expected = np.linalg.lstsq(terms, noise.ravel())[0][:5]
    assert [plane[2, 2] for plane in derivatives(noise, 5)] == pytest.approx(expected)


@pytest.mark.parametrize("azimuth", [0, 37, 90, 200, 315])
def test_a_plane_faces_where_it_falls_and_is_not_curved(azimuth):
    x, y = ground(15)
    turn = np.radians(azimuth)
    heights = 1000 - 0.5 * (x * np.sin(turn) + y * np.cos(turn))
    found = dict(zip(ALL, of(heights, ALL), strict=True))
    assert found["aspect_sin"] == pytest.approx(np.sin(turn), abs=1e-9)
    assert found["aspect_cos"] == pytest.approx(np.cos(turn), abs=1e-9)
    # The sine of a slope of one in two.
    assert found["aspect_north"] == pytest.approx(np.cos(turn) / np.sqrt(5), abs=1e-9)
    assert np.array_equal(found["aspect_south"], -found["aspect_north"])
    for role in ("profile_curvature", "tangential_curvature", "unsphericity"):
        assert np.abs(found[role]).max() < 1e-7


def test_level_ground_has_no_aspect_and_no_curvature():
    found = dict(zip(ALL, of(np.full((15, 15), 2345.6), ALL), strict=True))
    # Each neighbour differs from nothing by the direction to it: four by 1 and four by 2^(1/2).
    assert found.pop("sadi") == pytest.approx(1 - (4 + 4 * np.sqrt(2)) / 32)
    assert not any(np.any(plane) for plane in found.values())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sphere_is_curved_by_one_over_its_radius_everywhere_and_never_unspherical(sign):
    radius = 5000.0
    # From the top down to a slope of 45 degrees.
    for middle in ((0, 0), (1500, 800), (-2500, 2500)):
        x, y = ground(15, middle=middle)
        roles = ("profile_curvature", "tangential_curvature", "unsphericity")
        profile, tangential, unspherical = of(sign * sphere(x, y, radius), roles)
        # A window of 40 m on a radius of 5,000 m is no quadratic by some 1e-4.
        assert profile == pytest.approx(sign / radius, rel=2e-3)
        assert tangential == pytest.approx(sign / radius, rel=2e-3)
        # A root of a difference: what is 1e-4 of its square is 1e-2 of it.
        assert unspherical.max() < 0.03 / radius


def test_a_cylinder_is_curved_one_way():
    radius = 4000.0
    x, y = ground(15, middle=(2000, 0))
    roles = ("profile_curvature", "tangential_curvature", "unsphericity")
    # Its axis goes north: all of its bend is along the slope.
    profile, tangential, unspherical = of(sphere(x, 0, radius), roles)
    assert profile == pytest.approx(1 / radius, rel=2e-3)
    assert np.abs(tangential).max() < 1e-9
    # Principal curvatures 1/R and 0: half their difference.
    assert unspherical == pytest.approx(0.5 / radius, rel=2e-3)
    # A trough that falls along its axis, where it is level across: all of its bend is across.
    x, y = ground(15)
    profile, tangential, _ = of(1e-4 * x**2 - 0.3 * y, roles)
    middle = profile.shape[0] // 2
    assert abs(profile[middle, middle]) < 1e-9
    # -r / (1 + q^2)^(1/2): hollow, so negative.
    assert tangential[middle, middle] == pytest.approx(-2e-4 / np.sqrt(1 + 0.3**2))


def test_a_saddle_has_opposite_curvatures_and_is_unspherical():
    x, y = ground(15)
    profile, tangential, unspherical = of(
        5e-4 * (x**2 - y**2), ("profile_curvature", "tangential_curvature", "unsphericity")
    )
    middle = profile.shape[0] // 2
    # In the pass it is level, and bends by +1e-3 and -1e-3: mean 0, half the difference 1e-3.
    assert profile[middle, middle] == pytest.approx(0, abs=1e-9)
    assert unspherical[middle, middle] == pytest.approx(1e-3)
    # East of it the slope goes up eastward: hollow along it, and convex across.
    assert profile[middle, -1] < 0 < tangential[middle, -1]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_cone_is_straight_downhill_and_round_across(sign):
    steep = 0.6
    x, y = ground(15, middle=(700, -900))
    far = np.hypot(x, y)
    profile, tangential = of(-sign * steep * far, ("profile_curvature", "tangential_curvature"))
    inner = np.s_[4:-4, 4:-4]
    # The normal curvature of a cone: sine of the slope over the distance to the axis.
    expected = sign * np.sin(np.arctan(steep)) / far[inner]
    assert tangential == pytest.approx(expected, rel=5e-3)
    assert np.abs(profile).max() < 0.005 * np.abs(expected).max()


def test_sadi_is_1_on_a_summit_and_least_in_a_hollow():
    x, y = ground(17)
    bowl = (x**2 + y**2) / 2000
    middle = (17 - 8) // 2
    [summit] = of(-bowl, ("sadi",))
    [hollow] = of(bowl, ("sadi",))
    assert summit[middle, middle] == pytest.approx(1)
    assert summit.argmax() == summit.size // 2
    # Each neighbour differs by twice the direction to it.
    assert hollow[middle, middle] == pytest.approx(1 - 2 * (4 + 4 * np.sqrt(2)) / 32)
    assert hollow.argmin() == hollow.size // 2
    # On a slope to the north the eight cosines differ from 1 by 8 together, and the sines from 0 by
    # 2 + 4 / 2^(1/2).
    [even] = of(-0.3 * y, ("sadi",))
    assert even == pytest.approx(1 - (8 + 2 + 4 / np.sqrt(2)) / 32)


def test_cells_need_not_be_square_nor_north_up():
    # The same hill on cells of 10 x 25 m whose rows run 30 degrees off.
    turn, side = np.radians(30), 21
    row, column = np.indices((side, side)) - side // 2.0
    right = np.array([10 * np.cos(turn), 10 * np.sin(turn)])
    down = np.array([25 * np.sin(turn), -25 * np.cos(turn)])
    x, y = (column * right[axis] + row * down[axis] for axis in (0, 1))
    steps = np.ones((side, side)) * np.array([*right, *down])[:, None, None]
    z = -(3e-4 * x**2 + 1e-4 * y**2 + 1e-4 * x * y) + 0.2 * x - 0.1 * y
    found = forms(z, steps, ALL)[:, 10, 10]
    east, north = ground(21)
    z = -(3e-4 * east**2 + 1e-4 * north**2 + 1e-4 * east * north) + 0.2 * east - 0.1 * north
    straight = forms(z, square(z.shape), ALL)[:, 10, 10]
    # Of SADI the neighbours lie elsewhere.
    assert found[:-1] == pytest.approx(straight[:-1], abs=1e-9)
    p, q, r, s, t = 0.2, -0.1, -6e-4, -1e-4, -2e-4
    rise, long = p * p + q * q, 1 + p * p + q * q
    assert found[ALL.index("aspect_sin")] == pytest.approx(-p / np.sqrt(rise))
    profile = -(p * p * r + 2 * p * q * s + q * q * t) / (rise * long**1.5)
    assert found[ALL.index("profile_curvature")] == pytest.approx(profile)


def test_unsphericity_is_half_the_difference_of_the_principal_curvatures():
    # Those are the eigenvalues of the shape operator: the second fundamental form by the first.
    random = np.random.default_rng(2)
    x, y = ground(9)
    for p, q, r, s, t in random.normal(0, [0.5, 0.5, 1e-3, 1e-3, 1e-3], (20, 5)):
        z = r / 2 * x**2 + t / 2 * y**2 + s * x * y + p * x + q * y
        found = forms(z, square(z.shape), ("unsphericity",))[0, 4, 4]
        first = np.array([[1 + p * p, p * q], [p * q, 1 + q * q]])
        second = np.array([[r, s], [s, t]]) / np.sqrt(1 + p * p + q * q)
        low, high = np.sort(np.linalg.eigvals(np.linalg.solve(first, second)).real)
        assert found == pytest.approx((high - low) / 2)


def test_reach_is_that_of_the_window_and_one_more_for_neighbours():
    z = np.zeros((31, 31))
    z[15, 15] = np.nan
    for roles, reach in ((("aspect_sin",), 2), (("sadi",), 3)):
        assert reach_of(roles) == reach
        rows, _ = np.nonzero(np.isnan(forms(z, square(z.shape), roles)[0]))
        assert (rows.min(), rows.max()) == (15 - reach, 15 + reach)


# On the scene's grid, from a DEM on any other.


def dome(grid, radius=6000.0):
    """A sphere whose top lies 1.5 km west and 2 km south of the scene's corner."""
    x, y = in_utm(grid)
    return sphere(x - 598_500, y - 5_198_000, radius) - 3000


def read(path, grid, window=None, roles=ALL):
    with Dem(path) as dem:
        return Relief(dem, grid).read(window or grid.window, roles)


@pytest.mark.parametrize("dem", DEMS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_dome_has_its_aspects_and_curvatures_in_true_north_on_any_grid(make_dem, scene, dem):
    grid = SCENES[scene]
    values, known = read(make_dem(dome(DEMS[dem]), DEMS[dem]), grid)
    found = dict(zip(ALL, values.astype(float), strict=True))
    assert known.all()
    x, y = in_utm(grid)
    # Up in UTM is 0.97 degrees west of true north here, 1.32 degrees of longitude east of 9.
    lon, lat = transform_points(x, y, UTM, LONLAT)
    turn = np.arctan(np.tan(np.radians(lon - 9)) * np.sin(np.radians(lat)))
    azimuth = np.arctan2(x - 598_500, y - 5_198_000) + turn
    assert np.abs(found["aspect_sin"] - np.sin(azimuth)).max() < 2e-3
    assert np.abs(found["aspect_cos"] - np.cos(azimuth)).max() < 2e-3
    # Heights of float32 are whole to 0.0002 m, which over a window of cells of 10 m is 1e-6 1/m;
    # and a UTM metre is 0.03 % short.
    for role in ("profile_curvature", "tangential_curvature"):
        assert found[role] == pytest.approx(1 / 6000, abs=6e-6)
    assert found["unsphericity"].max() < 1e-5


WINDOWS = [
    (0, 0, 40, 30),
    (250, 240, 30, 60),
    (301, 17, 99, 1),
    (3, 299, 1, 71),
    (390, 360, 10, 10),
]


@pytest.mark.parametrize("voids", [False, True])
@pytest.mark.parametrize("gsd", [4, 10, "degrees"])
def test_a_window_holds_what_the_whole_does_bit_for_bit(make_dem, gsd, voids):
    grid = utm_grid((400, 370), 10)
    cells = Grid(LONLAT, Affine(1 / 3600, 0, 10.313, 0, -1 / 3600, 46.947), (150, 200))
    if gsd != "degrees":
        cells = utm_grid((4300 // gsd, 4300 // gsd), gsd, corner=(599_777, 5_200_091))
    x, y = in_utm(cells)
    heights = 2000 + 600 * np.sin(x / 480) * np.cos(y / 370)
    if voids:
        random = np.random.default_rng(1)
        for row, column in random.integers(0, min(cells.shape), (30, 2)):
            heights[row : row + random.integers(1, 40), column : column + 5] = np.nan
    dem = make_dem(heights, cells)
    roles = ("elevation", *ALL, "slope")
    whole, known = read(dem, grid, roles=roles)
    for top, left, rows, columns in WINDOWS:
        part, there = read(dem, grid, Window(left, top, columns, rows), roles)
        own = np.s_[top : top + rows, left : left + columns]
        assert np.array_equal(part, whole[:, *own])
        assert np.array_equal(there, known[own])


def test_a_form_is_the_same_whichever_are_read(make_dem):
    grid = utm_grid((60, 70), 10)
    x, y = in_utm(grid)
    heights = 2000 + 60 * np.sin(x / 48) * np.cos(y / 37)
    heights[10:30, 10:60] = np.nan
    dem = make_dem(heights, grid)
    together, _ = read(dem, grid, roles=("slope", *ALL, "elevation"))
    for index, role in enumerate(("slope", *ALL, "elevation")):
        assert np.array_equal(read(dem, grid, roles=(role,))[0][0], together[index])
    # Without heights there is no form.
    assert not read(make_dem(np.full((20, 20), np.nan), grid, name="none.tif"), grid)[0].any()


def test_the_frame_of_a_grid_points_to_true_north():
    right_east, right_north, down_east, down_north = frame(
        DEMS["turned"], np.array([[70.0]]), np.array([[70.0]])
    ).ravel()
    # The affine turns columns by 30 degrees anticlockwise, and rows go up: south-up cells.
    turn = np.radians(30 - 0.97)
    assert [right_east, right_north] == pytest.approx(
        [20 * np.cos(turn), 20 * np.sin(turn)], rel=2e-3
    )
    assert [down_east, down_north] == pytest.approx(
        [-20 * np.sin(turn), 20 * np.cos(turn)], rel=2e-3
    )


def test_memory_is_bounded_on_a_wide_scene(tmp_path):
    cells = utm_grid((90, 2040), 30, corner=(600_000, 5_200_500))
    heights = np.tile(np.arange(90.0)[:, None] * 9, (1, 2040)).astype("float32")
    path = write_tif(tmp_path / "dem.tif", heights[None], cells)
    grid = utm_grid((64, 6000), 10)
    with Dem(path) as dem:
        relief = Relief(dem, grid)
        tracemalloc.start()
        values, known = relief.read(grid.window, ALL)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert known.mean() > 0.99
    # What is returned, and as much again for one block of 256 x 256 at a time.
    assert peak < values.nbytes + known.nbytes + 30e6
