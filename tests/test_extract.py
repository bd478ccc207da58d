"""The whole job on scenes with a known answer."""

import hashlib
import json
import math

import numpy as np
import pytest
import rasterio.features
import shapely
import torch
from affine import Affine
from factories import disc, utm_grid, write_tif
from rasterio.crs import CRS
from torch import nn

import glacierx as gx
from glacierx.networks.layers import Output
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.grid import Grid

RAW = gx.ExtractOptions(outline=gx.OutlineOptions(smooth_px=0, min_area_km2=0))


def cone(grid, top, steepness=0.4):
    row, column = np.indices(grid.shape) + 0.5
    x, y = grid.to_map(row, column)
    return 4000 - steepness * np.hypot(x - top[0], y - top[1])


def test_a_group_of_options_in_another_ones_place_is_named():
    with pytest.raises(gx.OptionError, match=r"predict of ExtractOptions is of type OutlineOption"):
        gx.ExtractOptions(gx.OutlineOptions())


def run(path, options=gx.ExtractOptions(), **arguments):
    opening = {
        key: arguments.pop(key) for key in ("dem", "aoi", "date", "invalid") if key in arguments
    }
    with gx.open_scene(path, **opening) as scene:
        return gx.extract(scene, "ndsi", options, **arguments)


def test_a_disc_with_a_nunatak_on_a_cone(make_scene, make_dem):
    # 60 pixels of 10 m around the middle, with a hole of 15 pixels: 1.06 km2.
    mask = disc((160, 160), (80, 80), 60) & ~disc((160, 160), (80, 80), 15)
    grid = utm_grid(mask.shape)
    top = 600_800, 5_199_200
    dem = make_dem(cone(utm_grid((160, 160), 10), top), utm_grid((160, 160), 10))
    found = run(make_scene(mask, grid=grid), dem=dem, date="2023-08-15")
    area = math.pi * (600**2 - 150**2) / 1e6
    assert found.glaciers["area_km2"].sum() == pytest.approx(area, rel=0.01)
    [whole] = found.complexes.geometry
    assert len(whole.interiors) == 1
    center = whole.centroid
    assert (center.x, center.y) == (pytest.approx(top[0], abs=1), pytest.approx(top[1], abs=1))
    # The rim lies 600 m out and the nunatak's edge 150 m; cells are up to 24 m wide.
    assert found.glaciers["zmin_m"].min() == pytest.approx(4000 - 0.4 * 600, abs=12)
    assert found.glaciers["zmax_m"].max() == pytest.approx(4000 - 0.4 * 150, abs=12)
    slope = math.degrees(math.atan(0.4))
    assert np.allclose(found.glaciers["slope_deg"].astype(float), slope, atol=1.5)
    assert set(found.glaciers["src_date"]) == {"2023-08-15"}
    assert set(found.glaciers["divided"]) == {1}


GRIDS = {
    "south-up": Grid(CRS.from_epsg(32632), Affine(10, 0, 600_000, 0, 10, 5_200_000), (90, 120)),
    "rotated": Grid(CRS.from_epsg(32632), Affine(8, 6, 600_000, 6, -8, 5_200_000), (90, 120)),
    "geographic": Grid(CRS.from_epsg(4326), Affine(2e-4, 0, 86.8, 0, -2e-4, 28), (90, 120)),
    "polar north": Grid(CRS.from_epsg(3413), Affine(30, 0, 500_000, 0, -30, -1_500_000), (90, 120)),
    "polar south": Grid(CRS.from_epsg(3031), Affine(30, 0, -1_500_000, 0, -30, 900_000), (90, 120)),
    "antimeridian": Grid(
        CRS.from_epsg(32601), Affine(30, 0, 350_000, 0, -30, 7_300_000), (90, 120)
    ),
    "feet": Grid(CRS.from_epsg(2263), Affine(100, 0, 980_000, 0, -100, 200_000), (90, 120)),
}


@pytest.mark.parametrize("kind", GRIDS)
def test_a_known_square_comes_back_in_place(make_scene, kind, tmp_path):
    grid = GRIDS[kind]
    mask = np.zeros(grid.shape, bool)
    mask[20:60, 30:80] = True
    found = run(make_scene(mask, grid=grid), RAW)
    path = gx.write_outlines(found, tmp_path / "o.gpkg")
    back = gx.read_outlines(path)
    assert back.crs == grid.crs
    row, column = grid.to_pixels(*shapely.get_coordinates(back.geometry).T)
    pixels = shapely.Polygon(np.column_stack([column, row]))
    assert pixels.symmetric_difference(shapely.box(30, 20, 80, 60)).area < 1e-6
    true = areas_km2(back.geometry, back.crs)[0]
    assert back["area_km2"][0] == pytest.approx(true, rel=1e-6)
    assert true == pytest.approx(2000 * grid.gsd_m**2 / 1e6, rel=0.01)


def test_mask_and_outlines_are_cut_at_one_threshold(make_scene, tmp_path):
    # Probabilities that grow from left to right, as a model file would give them.
    ramp = np.tile(np.linspace(0, 1, 200, dtype="float32"), (100, 1))
    grid = utm_grid(ramp.shape)
    path = write_tif(tmp_path / "s.tif", ramp[None], grid, descriptions=("green",))

    class Given(nn.Module):
        def forward(self, inputs):
            return Output(mask=torch.logit(inputs.x, eps=1e-6))

    scaling = gx.Normalisation("fixed", mean=(0.0,), std=(1.0,))
    card = gx.Card("given", "none", (gx.Slot("green"),), normalisation=scaling, patch_px=64)
    raw = gx.OutlineOptions(threshold=0.3, smooth_px=0, min_area_km2=0)
    with gx.open_scene(path, scale=1.0) as scene:
        found = gx.extract(scene, gx.Model(Given(), card), gx.ExtractOptions(outline=raw),
                           mask=tmp_path / "m.tif")  # fmt: skip
    ice = gx.read_raster(tmp_path / "m.tif").values[0] == 1
    assert np.array_equal(ice[0], np.rint(ramp[0] / 0.004) > 75)
    burnt = rasterio.features.rasterize(
        list(found.complexes.geometry), ice.shape, transform=grid.transform, dtype="uint8"
    )
    assert np.array_equal(burnt == 1, ice)


def test_the_layers_agree_with_each_other(make_scene, make_dem):
    mask = np.zeros((300, 600), bool)
    mask[60:240, 30:570] = True
    grid = utm_grid(mask.shape)
    row, column = np.indices((300, 600)) + 0.5
    heights = 3000 - 2.0 * np.abs(column - 300) + 0.03 * (row - 150) ** 2
    found = run(make_scene(mask, grid=grid), dem=make_dem(heights, grid))
    assert len(found.complexes) == 1
    assert len(found.glaciers) == 2
    assert len(found.divides) == 1
    assert found.glaciers["area_km2"].sum() == pytest.approx(found.complexes["area_km2"].sum())
    ids = set(found.glaciers["glac_id"])
    assert {found.divides["glac_id_1"][0], found.divides["glac_id_2"][0]} == ids
    assert set(found.divides["complex_id"]) == set(found.complexes["complex_id"])
    line = found.divides.geometry[0]
    assert found.divides["length_m"][0] == pytest.approx(line.length, rel=1e-3)
    assert found.complexes.geometry[0].boundary.distance(shapely.Point(line.coords[0])) < 1e-6


def test_without_a_dem_each_complex_is_a_glacier(make_scene):
    mask = disc((100, 100), (50, 50), 30)
    with pytest.warns(gx.GlacierxWarning, match="There is no DEM"):
        found = run(make_scene(mask))
    assert len(found.glaciers) == len(found.complexes) == 1
    assert found.glaciers["divided"].tolist() == [0]
    assert len(found.divides) == 0
    row = found.glaciers.rows()[0]
    elevation = ("zmin_m", "zmax_m", "zmed_m", "zmean_m", "slope_deg", "aspect_deg", "aspect_sec",
                 "dem_source", "dem_share")  # fmt: skip
    assert [row[name] for name in elevation] == [None] * 9


def test_a_scene_without_ice_gives_empty_layers(make_scene, tmp_path):
    with pytest.warns(gx.GlacierxWarning, match="No ice found in scene.tif"):
        found = run(make_scene(np.zeros((80, 80), bool)))
    path = gx.write_outlines(found, tmp_path / "o.gpkg")
    assert len(gx.read_outlines(path)) == len(gx.read_outlines(path, "complexes")) == 0


def test_all_nodata_gives_empty_layers(make_scene, tmp_path):
    path = make_scene(np.zeros((80, 80), bool), nodata=1400)  # the number of rock in green
    import rasterio

    with rasterio.open(path, "r+") as file:
        file.write(np.full((5, 80, 80), 1400, "uint16"))
    with pytest.warns(gx.GlacierxWarning, match="No ice found"):
        found = run(path)
    assert len(found.glaciers) == 0


def test_the_record_says_what_was_run_and_no_path_or_time(make_scene, make_dem, tmp_path):
    mask = disc((100, 100), (50, 50), 30)
    grid = utm_grid((100, 100))
    dem = make_dem(cone(grid, (600_500, 5_199_500)), grid)
    one, two = (run(make_scene(mask), dem=dem).record for _ in range(2))
    assert one == two
    text = json.dumps(one)
    assert str(tmp_path) not in text
    assert one["model"]["name"] == "ndsi"
    assert one["model"]["kind"] == "pixel method"
    assert one["scene"]["bands"]["green"]["unit"] == "reflectance"
    assert len(one["inputs"][0]["sha256"]) == len(one["dem"]["sha256"]) == 64
    assert one["options"]["divide"]["radius_factor"] == 0.55
    assert one["options"]["outline"]["min_area_km2"] == 0.01
    assert one["versions"]["glacierx"] == gx.__version__


def test_the_record_holds_what_was_used_and_nothing_without_effect(make_scene, make_dem):
    mask = disc((80, 80), (40, 40), 30)
    path = make_scene(mask)
    one = run(path).record
    assert set(one["options"]) == {"predict", "outline"}
    assert one["options"]["predict"] == {"median": False}
    assert one["options"]["outline"]["threshold"] == 0.5
    grid = utm_grid((80, 80))
    divided = run(path, dem=make_dem(cone(grid, (600_400, 5_199_600)), grid)).record
    assert divided["options"]["divide"]["grid_m"] == 30
    card = gx.Card("m", "deeplabv3plus", (gx.Slot("green"),), tta="chu6", threshold=0.6,
                   patch_px=64, arguments={"depth": 18, "widths": [4, 4, 4, 4, 8]})  # fmt: skip
    with gx.open_scene(path) as scene:
        one, two = (
            gx.extract(scene, gx.build_model(card), engine=engine).record["options"]
            for engine in (
                gx.EngineOptions(device="cpu", backend="torch", precision="fp32", batch=batch)
                for batch in (1, 2)
            )
        )
    assert one == two
    assert one["predict"] == {
        "tta": "chu6", "patch_px": 64, "keep": 0.9,
        "device": "cpu", "backend": "torch", "precision": "fp32",
    }  # fmt: skip
    assert one["outline"]["threshold"] == 0.6


def test_a_dem_of_tiles_is_known_by_its_tiles(make_scene, make_dem, tmp_path):
    from rasterio.shutil import copy

    grid = utm_grid((80, 80))
    tile = make_dem(cone(grid, (600_400, 5_199_600)), grid)
    copy(str(tile), str(tmp_path / "dem.vrt"), driver="VRT")
    record = run(make_scene(disc((80, 80), (40, 40), 30)), dem=tmp_path / "dem.vrt").record
    [part] = record["dem"]["parts"]
    assert part == {"name": "dem.tif", "sha256": hashlib.sha256(tile.read_bytes()).hexdigest()}


def test_the_same_run_gives_the_same_bytes(make_scene, make_dem, tmp_path):
    mask = disc((100, 100), (50, 50), 30)
    grid = utm_grid((100, 100))
    dem = make_dem(cone(grid, (600_500, 5_199_500)), grid)
    paths = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        found = run(make_scene(mask), dem=dem, probability=folder / "p.tif", mask=folder / "m.tif")
        gx.write_outlines(found, folder / "o.gpkg")
        paths.append(folder)
    for file in ("o.gpkg", "p.tif", "m.tif"):
        assert (paths[0] / file).read_bytes() == (paths[1] / file).read_bytes()


def test_invalid_pixels_and_the_area_of_interest_are_told_apart(make_scene, tmp_path):
    import fiona
    from factories import write_tif

    mask = disc((120, 120), (60, 60), 40)
    cloud = np.zeros((1, 120, 120), "uint8")
    cloud[0, 20:40, 50:70] = 1
    grid = utm_grid((120, 120))
    write_tif(tmp_path / "cloud.tif", cloud, grid)
    with fiona.open(
        tmp_path / "aoi.gpkg", "w", "GPKG", schema={"geometry": "Polygon", "properties": {}},
        crs_wkt=grid.crs.to_wkt(),
    ) as file:  # fmt: skip
        west = shapely.box(600_000, 5_198_800, 600_600, 5_200_000)
        file.write({"type": "Feature", "geometry": west.__geo_interface__, "properties": {}})
    found = run(
        make_scene(mask), aoi=tmp_path / "aoi.gpkg", invalid=f"{tmp_path}/cloud.tif",
        mask=tmp_path / "m.tif",
    )  # fmt: skip
    row = found.glaciers.rows()[0]
    assert (row["touches_nodata"], row["cut_by_aoi"], row["touches_edge"]) == (1, 1, 0)
    written = gx.read_raster(tmp_path / "m.tif")
    assert not written.valid[:, 60:].any()
    assert not written.valid[20:40, 50:60].any()
    expected = mask[:, :60] & ~cloud[0, :, :60].astype(bool)
    assert np.array_equal(written.values[0][:, :60] == 1, expected)
    assert found.glaciers.geometry[0].bounds[2] <= 600_600 + 5


def test_divides_can_be_copied_from_an_inventory(make_scene, tmp_path):
    mask = np.zeros((200, 400), bool)
    mask[40:160, 40:360] = True
    first = run(make_scene(mask), RAW)
    [ice] = first.glaciers.geometry
    halves = [
        shapely.intersection(ice, shapely.box(600_000, 5_190_000, 601_500, 5_210_000)),
        shapely.intersection(ice, shapely.box(601_500, 5_190_000, 605_000, 5_210_000)),
    ]
    columns = {"glac_id": np.array(["A", "B"], object)}
    old = gx.write_outlines(
        gx.Outlines(np.array(halves, dtype=object), ice_crs(), columns), tmp_path / "old.gpkg"
    )
    found = run(make_scene(mask), divides=old)
    assert found.glaciers["ref_id"].tolist() == ["A", "B"]
    assert found.glaciers["divided"].tolist() == [1, 1]
    assert found.record["inventory"]["name"] == "old.gpkg"
    edges = shapely.get_coordinates(found.divides.geometry)[:, 0]
    assert np.abs(edges - 601_500).max() < 10


def ice_crs():
    return CRS.from_epsg(32632)


def test_only_whole_outputs_are_left_of_a_failure(make_scene, tmp_path, monkeypatch):
    path = make_scene(disc((100, 100), (50, 50), 30))

    def fail(*arguments, **keywords):
        raise gx.SceneError("stop")

    # The submodule, not the function of the same name that glacierx offers.
    import sys

    monkeypatch.setattr(sys.modules["glacierx.extract"], "outline", fail)
    with pytest.raises(gx.SceneError, match="stop"):
        run(path, probability=tmp_path / "p.tif", mask=tmp_path / "m.tif", work_dir=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scene.tif"]


def test_a_dem_elsewhere_is_refused_before_any_work(make_scene, make_dem):
    far = utm_grid((50, 50), 30, corner=(700_000, 5_200_000))
    dem = make_dem(np.ones((50, 50)), far)
    with pytest.raises(gx.GridError, match=r"does not overlap scene\.tif"):
        gx.open_scene(make_scene(disc((50, 50), (25, 25), 15)), dem=dem)


def test_geopandas_could_read_it(make_scene):
    found = run(make_scene(disc((100, 100), (50, 50), 30)))
    features = found.glaciers.__geo_interface__["features"]
    assert features[0]["geometry"]["type"] == "Polygon"
    assert features[0]["properties"]["complex_id"] == 1
