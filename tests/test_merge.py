"""Many scenes to one inventory, on frames and glaciers whose union is worked out by hand."""

import hashlib
import math
import warnings
from itertools import permutations

import numpy as np
import pytest
import rasterio
import shapely
from factories import utm_grid, write_tif
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window
from shapely.affinity import translate

import glacierx as gx
from glacierx.outlines.attributes import COMPLEXES, GLACIERS, glacier_ids, in_schema, place_columns
from glacierx.outlines.geopackage import read_layers, write_layers
from glacierx.outlines.outlines import Outlines, as_geometries, connected_groups, touching_pairs
from glacierx.scene.geodesy import areas_km2, transform_geometries

EAST, NORTH = 600_000.0, 5_200_000.0
JOIN = gx.MergeOptions(missing_share=1)


def box(left, bottom, right, top):
    """A box in metres from a corner in UTM zone 32."""
    return shapely.box(EAST + left, NORTH + bottom, EAST + right, NORTH + top)


def outlines_of(polygons, frame, epsg, date, columns):
    shapes, crs = as_geometries(polygons), CRS.from_epsg(epsg)
    edge = [int(one.intersection(frame.boundary).length > 0) for one in shapes]
    rows = Outlines(shapes, crs)
    a, b = touching_pairs(shapes)
    rows = rows.with_columns(
        **place_columns(rows, np.zeros(len(shapes)), 10.0, date),
        touches_edge=np.array(edge, int),
        touches_nodata=np.zeros(len(shapes), int),
        cut_by_aoi=np.zeros(len(shapes), int),
        complex_id=connected_groups(len(shapes), a, b) + 1,
        divided=np.zeros(len(shapes), int),
        mean_probability=np.full(len(shapes), 0.9),
    ).with_columns(**columns)
    return rows.with_columns(glac_id=glacier_ids(rows["cenlon"], rows["cenlat"]))


def write_scene(
    path, polygons, frame, date=None, *, epsg=32632, cloud=0.0, options=None, model="m", **columns
):
    """Write what `extract` would of a scene with this frame and these glaciers."""
    crs = CRS.from_epsg(epsg)
    rows = outlines_of(polygons, frame, epsg, date, columns)
    number, first = np.unique(rows["complex_id"], return_index=True)
    whole = [shapely.union_all(rows.geometry[rows["complex_id"] == one]) for one in number]
    complexes = rows.select(first).with_geometry(as_geometries(whole))
    a, b = touching_pairs(rows.geometry)
    lines = shapely.line_merge(shapely.intersection(rows.geometry[a], rows.geometry[b]))
    divides = Outlines(
        lines,
        crs,
        {
            "complex_id": rows["complex_id"][a],
            "glac_id_1": rows["glac_id"][a],
            "glac_id_2": rows["glac_id"][b],
            "length_m": shapely.length(lines),
        },
    )
    parts = as_geometries(shapely.get_parts(frame))
    ground = Outlines(parts, crs, {"invalid_share": np.full(len(parts), cloud)})
    record = {
        "scene": {"name": path.stem, "src_date": date, "gsd_m": 10.0},
        "model": {"name": model},
        "options": {"outline": {"min_area_km2": 0.0, "threshold": 0.5, **(options or {})}},
    }
    layers = {
        "glaciers": in_schema(rows, GLACIERS),
        "complexes": in_schema(complexes, COMPLEXES),
        "divides": divides,
        "footprint": ground,
    }
    return write_layers(path, layers, record, overwrite=True)


A, B, C = box(0, 0, 6000, 9000), box(4000, 0, 10000, 9000), box(8000, 0, 14000, 9000)
OLD, NEW = "2010-08-01", "2020-08-01"


def only(outlines):
    [shape], [row] = outlines.geometry, outlines.rows()
    return shape, row


def off(one, other):
    """Area in m2 that two shapes do not share."""
    return one.symmetric_difference(other).area


def test_a_glacier_cut_by_the_edge_of_each_scene_is_joined(tmp_path):
    # 6 km long: A sees 4 km of it, B sees 4 km of it, 2 km of them both.
    ice = box(2000, 1000, 8000, 2000)
    a = write_scene(tmp_path / "a.gpkg", [ice & A], A, NEW, zmin_m=[2000.0], zmax_m=[2900.0],
                    zmean_m=[2400.0], zmed_m=[2300.0], aspect_deg=[350.0])  # fmt: skip
    b = write_scene(tmp_path / "b.gpkg", [ice & B], B, OLD, zmin_m=[2100.0], zmax_m=[3000.0],
                    zmean_m=[2700.0], zmed_m=[2600.0], aspect_deg=[30.0])  # fmt: skip
    merged = gx.merge([a, b])
    shape, row = only(merged.glaciers)
    assert off(shape, ice) < 1
    assert len(shape.interiors) == 0
    assert (row["source"], row["rule"], row["joined"]) == ("a; b", "newest", 2)
    assert row["src_date"] == f"{OLD}/{NEW}"
    assert row["area_km2"] == pytest.approx(areas_km2([ice], CRS.from_epsg(32632))[0], rel=1e-6)
    assert row["touches_edge"] == 0
    # A gives 4 of 6 km, B 2: weights 2 and 1.
    assert (row["zmin_m"], row["zmax_m"], row["zmed_m"]) == (2000, 3000, None)
    assert row["zmean_m"] == pytest.approx(2500, abs=0.1)
    angle = math.degrees(math.atan2(
        2 * math.sin(math.radians(350)) + math.sin(math.radians(30)),
        2 * math.cos(math.radians(350)) + math.cos(math.radians(30)),
    ))  # fmt: skip
    assert row["aspect_deg"] == pytest.approx(angle % 360, abs=0.1)
    assert row["aspect_sec"] == 1
    # The margin of 14 km, a half pixel of 10 m wide.
    assert row["area_unc_km2"] == pytest.approx(14_000 * 5 / 1e6, rel=0.002)
    complex_shape, whole = only(merged.complexes)
    assert off(complex_shape, ice) < 1
    assert whole["complex_id"] == row["complex_id"] == 1
    assert len(merged.divides) == 0


def test_a_glacier_that_an_older_scene_sees_whole_is_taken_whole(tmp_path):
    # The newer scene sees the western half of it.
    older = box(5000, 1000, 7000, 2100)
    a = write_scene(tmp_path / "a.gpkg", [box(5000, 1000, 6000, 2000)], A, NEW)
    b = write_scene(tmp_path / "b.gpkg", [older], B, OLD)
    shape, row = only(gx.merge([a, b]).glaciers)
    assert off(shape, older) == 0
    assert (row["source"], row["rule"], row["joined"], row["src_date"]) == ("b", "whole", 1, OLD)
    # Who wants the newest ground everywhere gets 1 km2 of the one and 1.1 km2 of the other.
    shape, row = only(gx.merge([a, b], JOIN).glaciers)
    assert shape.area == pytest.approx(2.1e6, abs=200)
    assert (row["source"], row["joined"]) == ("b; a", 2)


def test_a_glacier_of_which_little_is_missing_is_completed(tmp_path):
    # 5 of 100 parts lie beyond the frame of the newer scene.
    ice = box(4100, 1000, 6100, 2000)
    a = write_scene(tmp_path / "a.gpkg", [ice & A], A, NEW)
    b = write_scene(tmp_path / "b.gpkg", [ice], B, OLD)
    shape, row = only(gx.merge([a, b]).glaciers)
    assert off(shape, ice) < 1
    assert (row["source"], row["joined"]) == ("a; b", 2)


def test_a_glacier_within_both_scenes_is_that_of_the_newer(tmp_path):
    newer, older = box(4500, 1000, 5500, 1900), box(4500, 1000, 5500, 2000)
    a = write_scene(tmp_path / "a.gpkg", [newer], A, NEW)
    b = write_scene(tmp_path / "b.gpkg", [older], B, OLD)
    shape, row = only(gx.merge([a, b]).glaciers)
    assert off(shape, newer) == 0
    assert (row["source"], row["rule"], row["joined"]) == ("a", "newest", 1)


def test_where_the_newer_scene_sees_no_ice_there_is_none(tmp_path):
    gone, stays = box(4500, 1000, 5500, 2000), box(7000, 1000, 8000, 2000)
    a = write_scene(tmp_path / "a.gpkg", [], A, NEW, cloud=0.3)
    b = write_scene(tmp_path / "b.gpkg", [gone, stays], B, OLD, cloud=0.1)
    merged = gx.merge([a, b])
    shape, row = only(merged.glaciers)
    assert off(shape, stays) == 0
    assert row["rule"] == "only"
    assert len(merged.complexes) == 1
    clear = gx.merge([a, b], gx.MergeOptions(prefer="least-cloud")).glaciers
    assert clear["rule"].tolist() == ["least-cloud", "only"]
    # No ice has no probability, so it has no say against ice that has.
    probable = gx.merge([a, b], gx.MergeOptions(prefer="highest-probability")).glaciers
    assert len(probable) == 2


def test_of_a_glacier_that_is_gone_where_the_newer_scene_looks_the_rest_stays(tmp_path):
    # Half of it lies beyond the frame, but the newer scene denies the half that it sees.
    a = write_scene(tmp_path / "a.gpkg", [], A, NEW)
    b = write_scene(tmp_path / "b.gpkg", [box(5000, 1000, 7000, 2000)], B, OLD)
    shape, _ = only(gx.merge([a, b]).glaciers)
    assert off(shape, box(6000, 1000, 7000, 2000)) < 200


def test_the_rule_of_probability_goes_place_by_place(tmp_path):
    places = [(4500, 1000), (4500, 4000)]
    a = write_scene(tmp_path / "a.gpkg", [box(x, y, x + 900, y + 900) for x, y in places], A)
    b = write_scene(tmp_path / "b.gpkg", [box(x, y, x + 800, y + 800) for x, y in places], B)
    for path, values in ((a, (0.8, 0.6)), (b, (0.7, 0.9))):
        layers, record = read_layers(path)
        rows = layers["glaciers"].with_columns(mean_probability=np.array(values))
        write_layers(path, {**layers, "glaciers": rows}, record, overwrite=True)
    merged = gx.merge([a, b], gx.MergeOptions(prefer="highest-probability")).glaciers
    assert sorted(merged["source"].tolist()) == ["a", "b"]
    by_source = dict(zip(merged["source"], merged.geometry, strict=True))
    assert off(by_source["a"], box(4500, 1000, 5400, 1900)) == 0
    assert off(by_source["b"], box(4500, 4000, 5300, 4800)) == 0


def test_a_nunatak_across_the_seam_stays_one_hole(tmp_path):
    # The frames meet at 5 km without an overlap; the hole lies on both sides.
    rock = box(4800, 1400, 5300, 1700)
    ice = box(2000, 1000, 8000, 2000) - rock
    west, east = box(0, 0, 5000, 9000), box(5000, 0, 10000, 9000)
    a = write_scene(tmp_path / "a.gpkg", [ice & west], west, NEW)
    b = write_scene(tmp_path / "b.gpkg", [ice & east], east, OLD)
    shape, row = only(gx.merge([a, b]).glaciers)
    [hole] = shape.interiors
    assert off(shapely.Polygon(hole), rock) < 1
    assert off(shape, ice) < 1
    assert row["joined"] == 2


def test_three_scenes_in_a_row(tmp_path):
    ice = box(1000, 1000, 13000, 2000)
    frames = {"a": (A, "2012-01-01"), "b": (B, "2016-01-01"), "c": (C, "2014-01-01")}
    paths = [
        write_scene(tmp_path / f"{name}.gpkg", [ice & frame], frame, date)
        for name, (frame, date) in frames.items()
    ]
    merged = gx.merge(paths)
    shape, row = only(merged.glaciers)
    assert off(shape, ice) < 2
    # B gives 6 km, A 3 and C 3.
    assert row["source"].split("; ")[0] == "b"
    assert (row["joined"], row["src_date"]) == (3, "2012-01-01/2016-01-01")
    files = {
        hashlib.sha256(
            gx.write_outlines(
                gx.merge(order), tmp_path / "region.gpkg", overwrite=True
            ).read_bytes()
        ).hexdigest()
        for order in permutations(paths)
    }
    assert len(files) == 1


def test_divides_go_on_across_the_seam(tmp_path):
    # Two glaciers side by side, divided along y = 2 km.
    low, high = box(2000, 1000, 8000, 2000), box(2000, 2000, 8000, 4000)
    divided = {"divided": [1, 1]}
    a = write_scene(tmp_path / "a.gpkg", [low & A, high & A], A, NEW, **divided)
    b = write_scene(tmp_path / "b.gpkg", [low & B, high & B], B, OLD, **divided)
    merged = gx.merge([a, b])
    assert merged.glaciers["joined"].tolist() == [2, 2]
    areas = sorted(shapely.area(merged.glaciers.geometry))
    assert areas == [pytest.approx(6e6, abs=5), pytest.approx(12e6, abs=5)]
    assert merged.divides["length_m"].sum() == pytest.approx(6000, rel=1e-3)
    assert set(merged.divides["glac_id_1"]) | set(merged.divides["glac_id_2"]) == set(
        merged.glaciers["glac_id"]
    )
    assert len(merged.complexes) == 1


def test_glaciers_that_only_one_scene_divides_keep_their_divide(tmp_path):
    low, high = box(2000, 1000, 8000, 2000), box(2000, 2000, 8000, 4000)
    a = write_scene(tmp_path / "a.gpkg", [low & A, high & A], A, NEW, divided=[1, 1])
    b = write_scene(tmp_path / "b.gpkg", [(low | high) & B], B, OLD, divided=[1])
    merged = gx.merge([a, b])
    # What B sees beyond goes to the glacier that it covers more of: the broad one.
    joined = merged.glaciers.geometry[merged.glaciers["joined"] == 2][0]
    assert joined.area == pytest.approx(8e6 + 2e6 * 3, abs=500)
    assert len(merged.glaciers) == 2
    assert len(merged.complexes) == 1


def test_scenes_in_two_zones_join_without_a_gap(tmp_path):
    zone = CRS.from_epsg(32632), CRS.from_epsg(32633)
    ice = shapely.segmentize(translate(box(2000, 1000, 8000, 2000), 150_000, 0), 20)
    west = shapely.segmentize(translate(A, 150_000, 0), 20)
    east = transform_geometries(translate(B, 150_000, 0), *zone).envelope
    in_east = shapely.intersection(transform_geometries(ice, *zone), east)
    a = write_scene(tmp_path / "a.gpkg", [ice & west], west, NEW)
    b = write_scene(tmp_path / "b.gpkg", [in_east], east, OLD, epsg=32633)
    with pytest.warns(gx.GlacierxWarning, match="EPSG:32632, EPSG:32633; the result is in EPSG"):
        merged = gx.merge([a, b])
    shape, row = only(merged.glaciers)
    assert row["joined"] == 2
    assert len(shape.interiors) == 0
    assert row["area_km2"] == pytest.approx(areas_km2([ice], zone[0])[0], rel=1e-5)
    asked = gx.merge([a, b], crs="EPSG:4326").glaciers
    assert asked.crs.to_epsg() == 4326
    assert asked["area_km2"][0] == pytest.approx(row["area_km2"], rel=1e-9)


def test_across_the_antimeridian(tmp_path):
    # 180 degrees lie 20 km east of the corner, in zone 60 and in zone 1.
    sixty, one = CRS.from_epsg(32660), CRS.from_epsg(32601)
    x, y = shapely.get_coordinates(
        transform_geometries(shapely.points(180.0, 66.0), CRS.from_epsg(4326), sixty)
    )[0]
    ice = shapely.segmentize(shapely.box(x - 3000, y, x + 3000, y + 1000), 20)
    west = shapely.box(x - 9000, y - 5000, x + 1000, y + 5000)
    east = transform_geometries(
        shapely.box(x - 1000, y - 5000, x + 9000, y + 5000), sixty, one
    ).envelope
    there = transform_geometries(ice, sixty, one) & east
    a = write_scene(tmp_path / "a.gpkg", [ice & west], west, NEW, epsg=32660)
    b = write_scene(tmp_path / "b.gpkg", [there], east, OLD, epsg=32601)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gx.GlacierxWarning)
        merged = gx.merge([a, b], crs="EPSG:4326")
    shape, row = only(merged.glaciers)
    assert row["joined"] == 2
    assert row["area_km2"] == pytest.approx(areas_km2([ice], sixty)[0], rel=1e-5)
    left, _, right, _ = shape.bounds
    assert right - left < 1
    assert row["glac_id"].startswith(("G179", "G180"))


def test_ids_stay_when_a_scene_is_added(tmp_path):
    ice = [box(1000, y, 1060, y + 50) for y in range(1000, 2000, 100)]
    a = write_scene(tmp_path / "a.gpkg", ice, A, OLD)
    near = write_scene(tmp_path / "b.gpkg", [box(4100, 1000, 9000, 3000)], B, NEW)
    far = write_scene(tmp_path / "c.gpkg", [box(11000, 1000, 12000, 3000)], C, NEW)
    first = gx.merge([a]).glaciers
    ids = {shape.wkb: name for shape, name in zip(first.geometry, first["glac_id"], strict=True)}
    for more in ([a, near], [a, far], [a, near, far]):
        found = gx.merge(more).glaciers
        assert len(set(found["glac_id"])) == len(found)
        now = {
            shape.wkb: name for shape, name in zip(found.geometry, found["glac_id"], strict=True)
        }
        assert {key: now[key] for key in ids} == ids
    assert first["cenlon"].tolist() == sorted(first["cenlon"].tolist())


def test_a_single_scene_is_as_it_was(tmp_path):
    low, high = box(2000, 1000, 5000, 2000), box(2000, 2000, 5000, 4000)
    path = write_scene(tmp_path / "a.gpkg", [low, high], A, NEW, divided=[1, 1], zmed_m=[1.0, 2.0])
    layers, _ = read_layers(path)
    merged = gx.merge([path])
    before = {row["glac_id"]: row for row in layers["glaciers"].rows()}
    for shape, row in zip(merged.glaciers.geometry, merged.glaciers.rows(), strict=True):
        own = before.pop(row["glac_id"])
        assert {name: row[name] for name in own} == own
        assert shape in layers["glaciers"].geometry
        assert (row["source"], row["rule"], row["joined"]) == ("a", "only", 1)
    assert not before
    assert merged.divides["length_m"][0] == pytest.approx(3000, rel=1e-3)
    assert merged.complexes.geometry[0].equals(low | high)


def test_a_dem_measures_what_has_changed(tmp_path, make_dem):
    ice = box(2000, 1000, 8000, 2000)
    grid = utm_grid((100, 200), 100, corner=(EAST - 5000, NORTH + 8000))
    x, _ = grid.to_map(*(np.indices(grid.shape) + 0.5))
    dem = make_dem(1000 + 0.1 * (x - EAST), grid)
    a = write_scene(tmp_path / "a.gpkg", [ice & A], A, NEW)
    b = write_scene(tmp_path / "b.gpkg", [ice & B], B, OLD)
    with gx.Dem(dem) as heights:
        [row] = gx.merge([a, b], dem=heights).glaciers.rows()
    # A plane that rises from 1200 m at 2 km to 1800 m at 8 km.
    assert row["zmin_m"] == pytest.approx(1200, abs=10)
    assert row["zmax_m"] == pytest.approx(1800, abs=10)
    assert row["zmed_m"] == pytest.approx(1500, abs=5)


def test_outlines_of_others_know_only_their_ice(tmp_path):
    mine = write_scene(tmp_path / "a.gpkg", [box(4500, 1000, 5500, 2000)], A, NEW)
    theirs = Outlines(
        as_geometries([box(4500, 1000, 5500, 2200), box(9000, 1000, 9900, 2000)]),
        CRS.from_epsg(32632),
    )
    other = gx.write_outlines(theirs, tmp_path / "rgi.gpkg")
    with pytest.raises(gx.OptionError, match=r"rgi.gpkg has no date.*--prefer"):
        gx.merge([mine, other])
    with pytest.raises(gx.OptionError, match="does not say what it shows"):
        gx.merge([mine, other], gx.MergeOptions(prefer="least-cloud"))
    with pytest.raises(gx.OptionError, match="has no mean_probability"):
        gx.merge([mine, other], gx.MergeOptions(prefer="highest-probability"))
    dated = theirs.with_columns(src_date=np.array(["2000-08-01"] * 2))
    gx.write_outlines(dated, other, overwrite=True)
    merged = gx.merge([mine, other])
    assert sorted(merged.glaciers["source"].tolist()) == ["a", "rgi"]
    assert [one["footprint"] for one in merged.record["merge"]] == ["footprint", "outlines"]
    alone = gx.merge([other]).glaciers
    assert len(alone) == 2


def test_scenes_that_were_treated_otherwise_are_named(tmp_path):
    a = write_scene(tmp_path / "a.gpkg", [box(1000, 1000, 2000, 2000)], A, NEW)
    b = write_scene(
        tmp_path / "b.gpkg", [box(7000, 1000, 8000, 2000)], B, OLD, options={"threshold": 0.6}
    )
    with pytest.warns(gx.GlacierxWarning, match=r"thresholds \(0.5: a; 0.6: b\)"):
        gx.merge([a, b])
    c = write_scene(tmp_path / "c.gpkg", [], C, OLD, model="other")
    with pytest.warns(gx.GlacierxWarning, match=r"models \(m: a; other: c\)"):
        gx.merge([a, c])


def test_scenes_without_ice_give_an_empty_inventory(tmp_path):
    paths = [write_scene(tmp_path / f"{at}.gpkg", [], A, NEW, cloud=at / 10) for at in range(2)]
    merged = gx.merge(paths)
    assert len(merged.glaciers) == len(merged.complexes) == len(merged.divides) == 0
    path = gx.write_outlines(merged, tmp_path / "region.gpkg")
    assert len(gx.read_outlines(path)) == 0


def test_the_record_names_every_scene(tmp_path):
    paths = [
        write_scene(tmp_path / "a.gpkg", [box(1000, 1000, 2000, 2000)], A, NEW),
        write_scene(tmp_path / "b.gpkg", [], B, OLD),
    ]
    path = gx.write_outlines(gx.merge(paths), tmp_path / "region.gpkg")
    record = gx.read_record(path)
    hashes = {hashlib.sha256(one.read_bytes()).hexdigest() for one in paths}
    assert {one["sha256"] for one in record["inputs"]} == hashes
    assert [one["source"] for one in record["merge"]] == ["a", "b"]
    assert record["merge"][0]["model"] == {"name": "m"}
    assert record["options"]["merge"] == {"prefer": "newest", "missing_share": 0.1}
    assert str(tmp_path) not in str(record)
    assert not [one for one in gx.verify(path) if one.failed]


discs = st.lists(
    st.tuples(st.floats(500, 9500), st.floats(500, 9500), st.floats(100, 1500), st.integers(0, 7)),
    min_size=1,
    max_size=8,
)
frames = st.lists(
    st.tuples(st.floats(0, 6000), st.floats(0, 6000), st.floats(1500, 6000)),
    min_size=2,
    max_size=3,
)


def seen(discs, frame, number):
    """The discs that a scene shows: each of them is there in some of the scenes only."""
    shapes = [
        shapely.Point(EAST + x, NORTH + y).buffer(radius * (1 + 0.02 * number)) & frame
        for x, y, radius, absent in discs
        if not absent & 1 << number
    ]
    return [part for part in shapely.get_parts(shapely.union_all(shapes)) if part.area > 100]


@settings(max_examples=25, deadline=None)
@given(discs=discs, frames=frames, share=st.sampled_from([0.1, 1.0]))
def test_whatever_scenes_show(tmp_path_factory, discs, frames, share):
    folder = tmp_path_factory.mktemp("scenes")
    boxes = [box(x, y, x + side, y + side) for x, y, side in frames]
    ice = [seen(discs, frame, number) for number, frame in enumerate(boxes)]
    # The first is the newest.
    paths = [
        write_scene(folder / f"{number}.gpkg", ice[number], frame, f"20{20 - number}-08-01")
        for number, frame in enumerate(boxes)
    ]
    merged = gx.merge(paths, gx.MergeOptions(missing_share=share))
    shapes = merged.glaciers.geometry
    assert shapely.is_valid(shapes).all()
    assert len(set(merged.glaciers["glac_id"])) == len(shapes)
    a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    apart = a < b
    assert shapely.area(shapely.intersection(shapes[a[apart]], shapes[b[apart]])).sum() < 0.01
    result = shapely.union_all(shapes)
    assert off(result, shapely.union_all(merged.complexes.geometry)) < 1
    whole = [shapely.union_all(one) for one in ice]
    if share == 1.0:
        # Every place is as the first scene says that sees it.
        believed, before = [], shapely.Polygon()
        for frame, one in zip(boxes, whole, strict=True):
            believed.append(one - before)
            before = before | frame
        expected = shapely.union_all(believed)
    else:
        # What all say that see a place is so.
        denied = shapely.union_all([f - one for f, one in zip(boxes, whole, strict=True)])
        expected = shapely.union_all(whole) - denied
        outside = result - shapely.union_all(whole)
        assert outside.buffer(-0.5).is_empty
    # Up to a strip along the seams, and remains of less width.
    assert (expected - result).buffer(-0.5).is_empty
    if share == 1.0:
        assert (result - expected).buffer(-0.5).is_empty


def test_a_scene_cut_into_four_gives_the_outlines_of_the_whole(tmp_path):
    gx.simulate(tmp_path / "made", gx.SimulateOptions(size=256, gsd=30, seed=3))
    whole = tmp_path / "made" / "scene.tif"
    paths = []
    with rasterio.open(whole) as scene:
        for row in (0, 100):
            for column in (0, 100):
                window = Window(column, row, 156, 156)
                grid = gx.Grid(scene.crs, scene.window_transform(window), (156, 156))
                part = write_tif(
                    tmp_path / f"{row}_{column}.tif", scene.read(window=window), grid,
                    descriptions=scene.descriptions, scales=scene.scales, offsets=scene.offsets,
                    tags=scene.tags(), nodata=scene.nodata,
                )  # fmt: skip
                paths.append(part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gx.GlacierxWarning)
        for path in [whole, *paths]:
            with gx.open_scene(path, date="2023-08-15") as scene:
                gx.write_outlines(gx.extract(scene, "ndsi"), path.with_suffix(".gpkg"))
    merged = gx.merge([path.with_suffix(".gpkg") for path in paths]).glaciers
    expected = gx.read_outlines(whole.with_suffix(".gpkg"))
    assert len(merged) == len(expected) > 1
    found, true = (shapely.union_all(one.geometry) for one in (merged, expected))
    assert (found & true).area / (found | true).area > 0.998
    assert (merged["touches_edge"] == 1).sum() == (expected["touches_edge"] == 1).sum()
