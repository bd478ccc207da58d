"""Ours to a format and back: what the format can hold comes back."""

import numpy as np
import pytest
import shapely
from factories import run_command as run

import glacierx as gx
from glacierx.formats.reading import read_result
from glacierx.outlines.geopackage import read_outlines
from glacierx.scene.geodesy import LONLAT, transform_geometries

# Of our columns those that a format has a field for.
EVERYWHERE = {"glac_id", "area_km2", "src_date", "ref_name"}
PLACE = {"cenlon", "cenlat"}
HELD = {
    "rgi7": EVERYWHERE | PLACE | {
        "zmin_m", "zmax_m", "zmed_m", "zmean_m", "slope_deg", "aspect_deg", "aspect_sec",
        "dem_source", "utm_zone", "term_type", "complex_id",
    },
    "rgi6": EVERYWHERE | PLACE | {"slope_deg", "term_type", "divided"},
    "oggm": EVERYWHERE | PLACE | {"slope_deg", "term_type", "divided"},
    "glims": EVERYWHERE | {"area_unc_km2", "zmin_m", "zmean_m", "zmax_m"},
}  # fmt: skip
WHOLE_METRES = ("zmin_m", "zmax_m", "zmed_m")


def same_values(one, other):
    for first, second in zip(one.tolist(), other.tolist(), strict=True):
        if isinstance(first, float):
            assert second == pytest.approx(first, rel=1e-12, abs=1e-12, nan_ok=True)
        else:
            assert first == second


def same_shapes(one, other, within=1e-9):
    moved = transform_geometries(one.geometry, one.crs, LONLAT)
    assert len(moved) == len(other)
    assert other.crs == LONLAT
    for first, second in zip(moved, other.geometry, strict=True):
        assert first.normalize().equals_exact(second.normalize(), within)


@pytest.mark.parametrize("name", HELD)
def test_what_a_format_holds_comes_back(name, result, layers, dem, tmp_path):
    run("convert", result, "--format", name, "--region", "11-01", "--dem", dem, "-o",
        tmp_path / "there")  # fmt: skip
    run("convert", tmp_path / "there", "-o", tmp_path / "back.gpkg")
    back, made = read_outlines(tmp_path / "back.gpkg"), layers["glaciers"]
    same_shapes(made, back)
    for column in HELD[name]:
        same_values(made[column], back[column])
    if name in ("rgi6", "oggm"):
        for column in WHOLE_METRES:
            assert back[column].tolist() == [round(one) for one in made[column]]
    assert gx.read_record(tmp_path / "back.gpkg") == gx.read_record(result)


def test_rgi7_brings_complexes_and_divides_back(result, layers, dem, tmp_path):
    run("convert", result, "--format", "rgi7", "--dem", dem, "-o", tmp_path / "there")
    back, _ = read_result(tmp_path / "there")
    for name in ("complexes", "divides"):
        same_shapes(layers[name], back[name])
    assert back["complexes"]["complex_id"].tolist() == [3, 7]
    for column in ("glac_id_1", "glac_id_2", "length_m", "complex_id"):
        same_values(layers["divides"][column], back["divides"][column])


@pytest.mark.parametrize("name", ["rgi6", "oggm"])
def test_divides_come_back_from_intersects(name, result, layers, dem, tmp_path):
    run("convert", result, "--format", name, "--dem", dem, "-o", tmp_path / "there")
    back, _ = read_result(tmp_path / "there")
    same_shapes(layers["divides"], back["divides"])
    for column in ("glac_id_1", "glac_id_2", "length_m"):
        same_values(layers["divides"][column], back["divides"][column])


@pytest.mark.parametrize("name", HELD)
def test_the_same_result_gives_the_same_bytes(name, result, dem, tmp_path):
    folders = [tmp_path / "one" / "x", tmp_path / "an öther" / "x"]
    for folder in folders:
        folder.parent.mkdir()
        run("convert", result, "--format", name, "--dem", dem, "-o", folder)
    one, other = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert one == other
    # The second to fourth byte of a table are a day.
    assert {content[1:4] for file, content in one.items() if file.endswith(".dbf")} <= {
        bytes([100, 1, 1])
    }


@pytest.mark.parametrize("name", HELD)
def test_a_result_without_glaciers_is_a_format_without_rows(name, layers, dem, tmp_path):
    nothing = {key: value.select(np.zeros(len(value), bool)) for key, value in layers.items()}
    gx.write_format(tmp_path / "x", nothing, {}, gx.Delivery(name), dem=None)
    back, record = gx.read_result(tmp_path / "x")
    assert len(back["glaciers"]) == 0
    assert record == {}


def test_outlines_of_somebody_else_get_what_a_format_needs(tmp_path, layers, dem):
    plain = gx.Outlines(layers["glaciers"].geometry, layers["glaciers"].crs, {"name": np.arange(3)})
    folder = tmp_path / "x"
    with gx.Dem(dem) as heights:
        gx.write_format(folder, {"glaciers": plain}, {}, gx.Delivery("rgi7"), dem=heights)
    back, _ = gx.read_result(folder)
    for column in ("glac_id", "cenlon", "area_km2", "zmin_m", "aspect_sec"):
        same_values(layers["glaciers"][column], back["glaciers"][column])
    # The first two share 600 m of border, so they are one complex.
    assert back["glaciers"]["complex_id"].tolist() == [1, 1, 2]
    assert back["complexes"]["area_km2"] == pytest.approx(layers["complexes"]["area_km2"], rel=1e-9)
    assert back["divides"]["length_m"] == pytest.approx([600], rel=1e-3)
    assert back["divides"]["glac_id_1"][0] == layers["glaciers"]["glac_id"][0]


def test_a_glacier_across_180_degrees_counts_on(tmp_path):
    shape = shapely.box(179.99, 65, 180.01, 65.01)
    folded = shapely.transform(shape, lambda xy: np.where(xy > 180, xy - 360, xy))
    glaciers = gx.Outlines(np.array([folded], object), LONLAT, {})
    for name in HELD:
        gx.write_format(tmp_path / name, {"glaciers": glaciers}, {}, gx.Delivery(name))
        back, _ = gx.read_result(tmp_path / name)
        assert back["glaciers"].geometry[0].normalize().equals_exact(shape.normalize(), 1e-9)


def test_complexes_that_were_not_divided_are_complexes_of_rgi6(tmp_path, layers):
    whole = {"complexes": layers["complexes"]}
    gx.write_format(tmp_path / "x", whole, {}, gx.Delivery("oggm"))
    back, _ = gx.read_result(tmp_path / "x")
    assert back["glaciers"]["divided"].tolist() == [0, 0]
