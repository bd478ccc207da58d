"""Bad vector files, for `corpus`."""

import json
import shutil
import sqlite3

import fiona
import numpy as np
import shapely
from factories import box, write_outlines

AOI = ("predict", "good.tif", "--aoi", "{}", "-o", "out/p.tif", "--model", "ndsi")
DIVIDE = ("divide", "{}", "-o", "out/d.gpkg")
TRUTH = ("evaluate", "good_mask.tif", "{}")
# A square of degrees within the scene of the corpus.
RING = [[10.3165, 46.9435], [10.3165, 46.9465], [10.3205, 46.9465], [10.3205, 46.9435]]


def feature(geometry):
    return {"type": "Feature", "properties": {"a": 1}, "geometry": geometry}


def polygon(ring=RING):
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def collection(*geometries):
    return json.dumps({"type": "FeatureCollection", "features": [*map(feature, geometries)]})


def add(corpus):
    """Add the cases of vector files."""
    folder = corpus.folder
    write_outlines(folder / "good.gpkg", [box((10, 30), (10, 30))], glac_name=["a"])
    with fiona.open(folder / "good.gpkg") as source:
        schema = {"geometry": "Polygon", "properties": {"glac_name": "str"}}
        for name in ("good.shp", "good.fgb"):
            driver = "ESRI Shapefile" if name.endswith("shp") else "FlatGeobuf"
            crs = source.crs_wkt
            with fiona.open(folder / name, "w", driver=driver, schema=schema, crs_wkt=crs) as file:
                file.writerecords(
                    {"geometry": one.geometry, "properties": {"glac_name": "a"}} for one in source
                )
    corpus.write("fc.geojson", collection(polygon()), AOI, 0)
    corpus.add("good.gpkg", AOI, 0)
    corpus.add("good.shp", AOI, 0)
    corpus.add("good.fgb", AOI, 0)
    _texts(corpus)
    _damaged(corpus)
    _tables(corpus)
    _pointing(corpus)


def _texts(corpus):
    whole = collection(polygon(), polygon(), polygon())
    for cut in np.linspace(1, len(whole) - 3, 8).astype(int).tolist():
        corpus.write(f"cut{cut}.geojson", whole[:cut], AOI)
    corpus.write("empty.geojson", b"", AOI)
    corpus.write("text.geojson", "a region", AOI)
    corpus.write("page.geojson", "<html><body>404</body></html>", AOI)
    corpus.write("list.geojson", "[1, 2, 3]", AOI)
    corpus.write("none.geojson", collection(), AOI)
    corpus.write("nulls.geojson", collection(None, None), AOI)
    corpus.write("a_null.geojson", collection(None, polygon()), AOI, 0)
    point = {"type": "Point", "coordinates": RING[0]}
    line = {"type": "LineString", "coordinates": RING}
    corpus.write("point.geojson", collection(point), AOI)
    corpus.write("line.geojson", collection(line), AOI)
    corpus.write("mixed.geojson", collection(point, line, polygon()), AOI, 0)
    bow = polygon([RING[0], RING[2], RING[1], RING[3]])
    corpus.write("bow.geojson", collection(bow), AOI, 0)
    corpus.write("bow_divided.geojson", collection(bow), DIVIDE, 0)
    spike = polygon([*RING, [10.35, 46.9435], RING[3]])
    corpus.write("spike.geojson", collection(spike), DIVIDE, 0)
    corpus.write("flat.geojson", collection(polygon([RING[0], RING[0], RING[0]])), AOI)
    corpus.write("two_points.geojson", collection(polygon(RING[:1])), AOI)
    corpus.write("no_ring.geojson", collection({"type": "Polygon", "coordinates": []}), AOI)
    nothing = {"type": "GeometryCollection", "geometries": []}
    corpus.write("nothing.geojson", collection(nothing), AOI)
    corpus.write("far.geojson", collection(polygon([[x - 100, y] for x, y in RING])), AOI)
    metres = [[600_100, 5_199_900], [600_100, 5_199_800], [600_300, 5_199_800]]
    corpus.write("metres.geojson", collection(polygon(metres)), AOI)
    for number in ("NaN", "Infinity", "1e999", "1e308", '"7"', "null", "[1]"):
        text = collection(polygon()).replace("46.9465", number)
        name = number.strip('"[]').lower().replace("+", "")
        corpus.write(f"number_{name}_{len(number)}.geojson", text, AOI)
    corpus.write("deep.geojson", "[" * 100_000, AOI)
    deep = json.dumps(feature(None)).replace(
        "null", '{"type":"Polygon","coordinates":' + "[" * 5000
    )
    corpus.write("deep_ring.geojson", deep, AOI)
    nested = json.dumps(polygon())
    for _ in range(400):
        nested = f'{{"type": "GeometryCollection", "geometries": [{nested}]}}'
    whole = '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, '
    # GEOS and GDAL may take so many nested collections; they hold a polygon after all.
    corpus.write("nested.geojson", f'{whole}"geometry": {nested}}}]}}', AOI, -1)
    named = json.loads(collection(polygon()))
    corpus.write(
        "crs.geojson",
        json.dumps(named | {"crs": {"type": "name", "properties": {"name": "EPSG:999999"}}}),
        AOI,
        -1,
    )
    corpus.write("utf16.geojson", collection(polygon()).encode("utf-16"), AOI)
    corpus.write("latin.geojson", collection(polygon()).replace('"a"', '"é"').encode("latin-1"),
                 AOI, -1)  # fmt: skip
    table = json.loads(collection(polygon(), polygon()))
    table["features"][0]["properties"] = {"area_km2": "much", "complex_id": {"a": [1]}}
    corpus.write("columns.geojson", json.dumps(table), DIVIDE, -1)
    table["features"][0]["properties"] = {"../../evil": "../../../etc/passwd", "glac_name": "../x"}
    corpus.write("names.geojson", json.dumps(table), DIVIDE, 0)


def _damaged(corpus):
    folder = corpus.folder
    good = (folder / "good.gpkg").read_bytes()
    for cut in np.linspace(10, len(good) - 4096, 8).astype(int).tolist():
        corpus.write(f"cut{cut}.gpkg", good[:cut], AOI)
    corpus.write("half.gpkg", good[: len(good) // 2], DIVIDE)
    corpus.write("truth.gpkg", good[: len(good) // 2], TRUTH)
    corpus.write("zeros.gpkg", good[:100] + bytes(len(good) - 100), AOI)
    corpus.write("head.gpkg", b"SQLite format 4\0" + good[16:], AOI)
    corpus.write("text.gpkg", "no database", AOI)
    corpus.write("empty.gpkg", b"", AOI)
    corpus.add("missing.gpkg", AOI)
    corpus.add("n" * 300 + ".gpkg", AOI)
    (folder / "folder.gpkg").mkdir()
    corpus.add("folder.gpkg", AOI)
    corpus.add("good.tif", AOI)
    flat = (folder / "good.fgb").read_bytes()
    for cut in (6, 60, len(flat) - 40):
        corpus.write(f"cut{cut}.fgb", flat[:cut], AOI)
    _shapefiles(corpus)


def _shapefiles(corpus):
    folder = corpus.folder

    def copied(name, without=(), **changed):
        for end in ("shp", "shx", "dbf", "prj", "cpg"):
            content = (folder / f"good.{end}").read_bytes()
            if end not in without:
                (folder / f"{name}.{end}").write_bytes(changed.get(end, content))

    shp = (folder / "good.shp").read_bytes()
    for name, without, changed, code in (
        ("no_shx", ("shx",), {}, 4),
        # A shapefile without attributes still has its polygons.
        ("no_dbf", ("dbf",), {}, 0),
        ("no_prj", ("prj",), {}, 4),
        ("bad_prj", (), {"prj": b"nonsense"}, 4),
        ("empty_shp", (), {"shp": b""}, 4),
        ("head_shp", (), {"shp": shp[:50]}, 4),
        ("cut_shp", (), {"shp": shp[:130]}, 4),
        ("noise_shp", (), {"shp": shp[:100] + b"\xff" * (len(shp) - 100)}, 4),
        ("empty_shx", (), {"shx": b""}, 4),
        ("noise_shx", (), {"shx": shp[:100] + b"\xff" * 8}, 4),
        ("noise_dbf", (), {"dbf": b"\xff" * 65}, -1),
        ("empty_dbf", (), {"dbf": b""}, -1),
    ):
        copied(name, without, **changed)
        corpus.add(f"{name}.shp", AOI, code)


def _tables(corpus):
    folder = corpus.folder
    two = {"a": [box((5, 10), (5, 10))], "b": [box((20, 30), (20, 30))]}
    schema = {"geometry": "Polygon", "properties": {}}

    def written(file, layers, geometry="Polygon", crs="EPSG:32632"):
        for layer, shapes in layers.items():
            with fiona.open(folder / file, "w", driver="GPKG", layer=layer,
                            schema={**schema, "geometry": geometry}, crs=crs) as made:  # fmt: skip
                made.writerecords(
                    {"geometry": shape and shapely.geometry.mapping(shape), "properties": {}}
                    for shape in shapes
                )

    written("two_layers.gpkg", two)
    corpus.add("two_layers.gpkg", AOI)
    written("no_crs.gpkg", {"a": two["a"]}, crs=None)
    corpus.add("no_crs.gpkg", AOI)
    written("wrong_crs.gpkg", {"a": two["a"]}, crs="EPSG:4326")
    corpus.add("wrong_crs.gpkg", AOI)
    written("all_null.gpkg", {"a": [None, None]})
    corpus.add("all_null.gpkg", AOI)
    written("a_null.gpkg", {"a": [None, *two["a"]]})
    corpus.add("a_null.gpkg", AOI, 0)
    corpus.add("a_null.gpkg", DIVIDE, 0)
    written("no_rows.gpkg", {"a": []})
    corpus.add("no_rows.gpkg", AOI)
    written("points.gpkg", {"a": [shapely.Point(6e5, 5.2e6)]}, "Point")
    corpus.add("points.gpkg", AOI)
    corpus.add("points.gpkg", DIVIDE)
    corpus.add("points.gpkg", TRUTH)
    hole = box((5, 40), (5, 40)).difference(box((5, 20), (5, 20)))
    written("valid_hole.gpkg", {"a": [hole]})
    corpus.add("valid_hole.gpkg", DIVIDE, 0)
    nan = np.array([[6e5, 5.2e6], [np.nan, np.nan], [6.001e5, 5.2e6], [6e5, 5.2e6]])
    written("nan.gpkg", {"a": [shapely.Polygon(nan)]})
    corpus.add("nan.gpkg", AOI)
    for file, statement in {
        # A name of a layer is no path.
        "evil.gpkg": """
            ALTER TABLE a RENAME TO "../../evil"; PRAGMA foreign_keys=OFF;
            UPDATE gpkg_contents SET table_name = '../../evil', identifier = '../../evil';
            UPDATE gpkg_geometry_columns SET table_name = '../../evil';
            DELETE FROM gpkg_extensions; DELETE FROM gpkg_ogr_contents""",
        "other.gpkg": "CREATE TABLE a (b INTEGER)",
        "bad_blob.gpkg": "UPDATE a SET geom = x'00112233'",
        "no_srs.gpkg": "UPDATE gpkg_geometry_columns SET srs_id = 424242",
        "dropped.gpkg": "DROP TABLE a",
        "no_contents.gpkg": "DELETE FROM gpkg_contents",
    }.items():
        if file != "other.gpkg":
            written(file, {"a": two["a"]})
        with sqlite3.connect(folder / file) as database:
            for (trigger,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type='trigger'"
            ).fetchall():
                database.execute(f'DROP TRIGGER "{trigger}"')
            database.executescript(statement)
        database.close()
        corpus.add(file, AOI if file != "evil.gpkg" else DIVIDE, 0 if file == "evil.gpkg" else 4)


def _pointing(corpus):
    outside = corpus.folder.parent / "secret.gpkg"
    shutil.copy(corpus.folder / "good.gpkg", outside)
    text = (
        '<OGRVRTDataSource><OGRVRTLayer name="glaciers"><SrcDataSource>{}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    for number, source in enumerate((outside, "http://127.0.0.1:9/a.gpkg", "good.gpkg")):
        corpus.write(f"points{number}.geojson", text.format(source), AOI)
        corpus.write(f"points{number}.gpkg", text.format(source), TRUTH)
    wfs = "<OGRWFSDataSource><URL>http://127.0.0.1:9/wfs</URL></OGRWFSDataSource>"
    corpus.write("wfs.gml", wfs, AOI)
    corpus.write("complexes.geojson", text.format(outside), DIVIDE)


def check(path) -> str:
    """Say what is wrong with a GeoPackage that a command wrote; nothing if nothing is."""
    for layer in sorted(set(fiona.listlayers(path)) - {"layer_styles"}):
        with fiona.open(path, layer=layer) as file:
            for row in file:
                shape = shapely.geometry.shape(row.geometry)
                if not shape.is_valid or shape.is_empty:
                    return f"{path.name} holds a geometry that is not valid"
    return ""
