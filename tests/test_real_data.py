"""The main job on real scenes and real glacier complexes; skipped where they are not at hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.merge import merge

import glacierx as gx
from glacierx.demo import burn_labels
from glacierx.evaluate.metrics import intersection_over_union

ROOT = Path(__file__).parents[1]


def benchmark(name):
    specification = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("case", "area_50", "area_75", "pq", "most"),
    [("oetztal_rgi7", 0.95, 0.80, 0.65, 35), ("oetztal_rgi5", 0.95, 0.90, 0.75, 35)],
)
def test_divides_reach_what_is_asked_of_them(shared, case, area_50, area_75, pq, most):
    divides = benchmark("divides")
    folder = shared / "splits" / case
    found, _ = divides.score(folder, "flowsheds")
    baseline, _ = divides.score(folder, "no division")
    assert found.area_50 >= area_50
    assert found.area_75 >= area_75
    assert found.pq >= pq > baseline.pq
    assert found.found <= most
    truth = divides.slivers_in(divides.truth_of(folder), 900.0)
    assert found.slivers <= truth


def test_the_ice_cap_gains_no_sliver_by_being_divided(shared):
    divides = benchmark("divides")
    found, _ = divides.score(shared / "splits" / "icecap_oggm", "flowsheds")
    baseline, _ = divides.score(shared / "splits" / "icecap_oggm", "no division")
    assert found.slivers <= baseline.slivers
    assert found.area_50 > 0.9 > baseline.area_50


def check(found, scene):
    """What must hold of any result."""
    for layer in (found.glaciers, found.complexes):
        assert shapely.is_valid(layer.geometry).all()
        assert set(shapely.get_type_id(layer.geometry)) <= {shapely.GeometryType.POLYGON}
    total = shapely.area(found.complexes.geometry).sum()
    assert shapely.area(found.glaciers.geometry).sum() == pytest.approx(total, rel=1e-9)
    frame = scene.grid.footprint
    assert shapely.contains(frame.buffer(1e-6 * frame.length), found.complexes.geometry).all()
    assert found.complexes["area_km2"].min() >= 0.0099
    assert len(set(found.glaciers["glac_id"])) == len(found.glaciers)
    # Burnt again, outlines are the mask that they were traced from.
    return burn_labels(found.complexes, scene.grid) > 0


@pytest.fixture(scope="module")
def mosaic(shared, tmp_path_factory):
    """Six Landsat 8 patches joined into one scene of 1024 x 1536."""
    folder = shared / "scenes" / "landsat8_nw_himalaya" / "train"
    out = tmp_path_factory.mktemp("landsat8")
    for kind in ("img", "lab"):
        files = [
            folder / f"{kind}_{row}_{col}.tif" for row in ("04", "05") for col in ("08", "09", "10")
        ]
        values, transform = merge(files)
        with rasterio.open(files[0]) as first:
            profile, names = first.profile, first.descriptions
        profile.update(height=values.shape[1], width=values.shape[2], transform=transform)
        with rasterio.open(out / f"{kind}.tif", "w", **profile) as file:
            file.write(values)
            file.descriptions = names
    return out


@pytest.mark.parametrize("units", [{"sensor": "landsat-8", "level": "l1"}, {}])
def test_landsat_8_joined(mosaic, tmp_path, units):
    with gx.open_scene(mosaic / "img.tif", **units) as scene:
        assert scene.grid.shape == (1024, 1536)
        found = gx.extract(scene, "ndsi" if units else "otsu", mask=tmp_path / "m.tif")
        burnt = check(found, scene)
    mask = gx.read_raster(tmp_path / "m.tif")
    kept = mask.valid & (mask.values[0] == 1)
    # Outlines below the minimum area are in the mask and not among the outlines.
    assert not (burnt & ~kept).any()
    assert (kept & ~burnt).sum() < 0.05 * kept.sum()
    label = gx.read_raster(mosaic / "lab.tif")
    both = mask.valid & label.valid & (label.values[0] != 255)
    iou = intersection_over_union(burnt, label.values[0] == 1, both)
    # The scene lies under snow: a threshold is poor here, but not at random.
    assert iou > 0.3


@pytest.mark.parametrize("number", [3, 107, 100])
def test_sentinel_2_with_its_own_elevation_band(shared, number, tmp_path):
    path = shared / "scenes" / "sentinel2_debris" / "train" / f"img_{number}.tif"
    with gx.open_scene(path, scale=1e-4, dem=path, dem_band=9) as scene:
        found = gx.extract(scene, "ndsi")
        burnt = check(found, scene)
        heights = scene.dem.read(scene.grid).values[0]
    assert set(found.glaciers["divided"]) == {1}
    assert found.glaciers["zmax_m"].max() <= heights[burnt].max() + 15
    assert found.glaciers["zmin_m"].min() >= heights[burnt].min() - 15
    label = gx.read_raster(path.with_name(f"pseudo_{number}.tif"))
    clean = label.values[0] == 2
    # The clean ice of the labels was drawn by a like threshold.
    assert (burnt & clean).sum() > 0.8 * clean.sum()


def test_landsat_7_at_everest_with_its_inventory(shared, tmp_path):
    folder = shared / "scenes" / "landsat7_everest"
    with gx.open_scene(folder / "train" / "img.tif", date="2000-10-30") as scene:
        inventory = folder / "outlines_rgi60_west.gpkg"
        found = gx.extract(scene, divides=inventory)
        burnt = check(found, scene)
    assert found.record["model"]["name"] == "starter"
    names = {name for name in found.glaciers["ref_name"] if name}
    assert any("Rongbuk" in name for name in names)
    assert set(found.glaciers["src_date"]) == {"2000-10-30"}
    label = gx.read_raster(folder / "train" / "lab.tif").values[0] == 1
    assert intersection_over_union(burnt, label) > 0.4
    gx.write_outlines(found, tmp_path / "o.gpkg")
    assert json.dumps(gx.read_record(tmp_path / "o.gpkg"))


@pytest.mark.parametrize("season", ["autumn", "spring", "summer", "winter"])
def test_khumbu_on_its_geographic_grid(shared, season):
    path = shared / "scenes" / "sentinel2_khumbu" / f"img_{season}_2024.tif"
    with gx.open_scene(path, sensor="sentinel-2", level="l2a-pre0400") as scene:
        found = gx.extract(scene)
        check(found, scene)
        assert scene.grid.gsd_m == pytest.approx(24.1, abs=0.1)
    assert found.glaciers.crs.is_geographic
    lon, lat = found.glaciers["cenlon"], found.glaciers["cenlat"]
    assert ((lon > 86.78) & (lon < 86.86) & (lat > 27.9) & (lat < 28.05)).all()
    assert np.isfinite(found.glaciers["area_unc_km2"].astype(float)).all()
