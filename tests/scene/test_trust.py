"""Files that point to others: what is looked into before GDAL opens them, and what is read."""

import contextlib
import http.server
import pickle
import sqlite3
import threading

import fiona
import numpy as np
import pytest
import rasterio
from factories import box, run_command, utm_grid, write_outlines, write_tif
from rasterio.shutil import copy

import glacierx as gx
from glacierx.errors import ModelError, OutlineError, SceneError
from glacierx.outlines.geopackage import read_outlines
from glacierx.scene.raster import open_dataset, read_raster
from glacierx.scene.trust import PIXELS, VECTORS, allow_vrt
from glacierx.training.samples import load_samples

GRID = utm_grid((4, 6))
VALUES = np.arange(24, dtype="uint8").reshape(1, 4, 6)


@pytest.fixture
def folder(tmp_path):
    """A folder with a raster in it, and one beside it that is not to be read."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write_tif(tmp_path / "secret.tif", VALUES + 100, GRID)
    write_tif(tmp_path / "in" / "a.tif", VALUES, GRID)
    write_tif(tmp_path / "in" / "sub" / "b.tif", VALUES, GRID)
    return tmp_path / "in"


def vrt(source, *, attributes='relativeToVRT="1"', more=""):
    return (
        '<VRTDataset rasterXSize="6" rasterYSize="4"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000,10,0,5200000,0,-10</GeoTransform>{more}"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename {attributes}>{source}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize("name", ["x.vrt", "x.tif", "x"])
@pytest.mark.parametrize("source", ["a.tif", "sub/b.tif", "./a.tif", "sub/../a.tif"])
def test_a_vrt_of_its_own_folder_is_read_whatever_it_is_called(folder, name, source):
    (folder / name).write_text(vrt(source))
    assert np.array_equal(read_raster(folder / name).values, VALUES)


@pytest.mark.parametrize("source", ["../secret.tif", "sub/../../secret.tif", "{}", "link.tif"])
def test_a_vrt_that_leaves_its_folder_is_read_only_where_it_is_trusted(folder, source):
    outside = folder.parent / "secret.tif"
    (folder / "link.tif").symlink_to(outside)
    (folder / "x.tif").write_text(vrt(source.format(outside)))
    with pytest.raises(SceneError, match=r"outside its folder.*--allow-vrt"):
        read_raster(folder / "x.tif")
    with allow_vrt():
        assert np.array_equal(read_raster(folder / "x.tif").values, VALUES + 100)
    with pytest.raises(SceneError, match="outside its folder"):
        read_raster(folder / "x.tif")


def test_trust_holds_in_other_threads_and_ends_after_an_error(folder):
    (folder / "x.tif").write_text(vrt("../secret.tif"))
    found = []
    with pytest.raises(KeyError), allow_vrt():
        thread = threading.Thread(target=lambda: found.append(read_raster(folder / "x.tif")))
        thread.start()
        thread.join()
        raise KeyError
    assert len(found) == 1
    with pytest.raises(SceneError):
        read_raster(folder / "x.tif")


def test_the_same_trust_is_offered_by_the_package():
    assert gx.allow_vrt is allow_vrt


@pytest.fixture
def asked():
    """A server that writes down what it is asked for."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()
    thread.join()


WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>URL/${z}/${x}/${y}.png</ServerUrl></Service>'
    "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>9</LowerRightX>"
    "<LowerRightY>-9</LowerRightY><SizeX>6</SizeX><SizeY>4</SizeY></DataWindow>"
    "<Projection>EPSG:32632</Projection><BandsCount>1</BandsCount></GDAL_WMS>"
)


@pytest.mark.parametrize(
    "text",
    [
        vrt("/vsicurl/URL/x.tif", attributes='relativeToVRT="0"'),
        vrt("URL/x.tif", attributes='relativeToVRT="0"'),
        vrt("vrt://URL/x.tif"),
        vrt("wms.tif"),
        vrt("a.tif").replace("<SimpleSource>", '<SimpleSource SourceFilename="URL/x.tif">'),
        vrt("URL/x.tif").replace("SourceFilename", "sourcefilename"),
        vrt("a.tif", more='<OverviewList/><Metadata domain="OVERVIEWS">'
            '<MDI key="OVERVIEW_FILE">URL/x.tif</MDI></Metadata>'),
        WMS,
    ],
)  # fmt: skip
def test_no_server_is_asked_for_a_file_that_names_one(folder, asked, text):
    url, paths = asked
    (folder / "wms.tif").write_text(WMS.replace("URL", url))
    (folder / "x.tif").write_text(text.replace("URL", url))
    with pytest.raises(SceneError, match="--allow-vrt"):
        read_raster(folder / "x.tif")
    assert not paths


@pytest.mark.parametrize("text", [vrt("URL/x.tif", attributes='relativeToVRT="0"'), WMS])
def test_a_server_is_asked_where_the_file_is_trusted(folder, asked, text):
    url, paths = asked
    (folder / "x.tif").write_text(text.replace("URL", url))
    with allow_vrt(), contextlib.suppress(SceneError):
        read_raster(folder / "x.tif")
    assert paths


def test_a_url_that_is_typed_is_asked(asked):
    url, paths = asked
    with pytest.raises(SceneError):
        read_raster(f"{url}/x.tif")
    assert paths


def test_overviews_of_a_tif_stay_in_its_folder(folder):
    with rasterio.open(folder / "a.tif", "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(folder.parent / "secret.tif"))
    with pytest.raises(SceneError, match="outside its folder"):
        read_raster(folder / "a.tif")


@pytest.mark.parametrize("end", ["msk", "ovr"])
def test_what_lies_beside_a_tif_is_looked_into(folder, end):
    (folder / f"a.tif.{end}").write_text(vrt("../secret.tif"))
    with pytest.raises(SceneError, match="outside its folder"):
        read_raster(folder / "a.tif")


def test_pixel_functions_in_python_never_run(folder, monkeypatch):
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    code = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode><![CDATA[\n"
        f"def f(*a, **k):\n    open({str(folder / 'canary')!r}, 'w')\n]]></PixelFunctionCode>"
    )
    text = vrt("a.tif").replace("<SimpleSource>", f"{code}<SimpleSource>")
    derived = text.replace('band="1"', 'band="1" subClass="VRTDerivedRasterBand"')
    (folder / "x.tif").write_text(derived)
    with pytest.raises(SceneError, match="--allow-vrt"):
        read_raster(folder / "x.tif")
    with allow_vrt(), pytest.raises(SceneError):
        read_raster(folder / "x.tif")
    assert not (folder / "canary").exists()


def test_a_vrt_that_reads_itself_is_refused(folder):
    (folder / "one.vrt").write_text(vrt("two.vrt"))
    (folder / "two.vrt").write_text(vrt("one.vrt"))
    with pytest.raises(SceneError, match="reads itself"):
        read_raster(folder / "one.vrt")


def test_gdals_own_vrts_are_read(folder):
    copy(str(folder / "a.tif"), str(folder / "plain.vrt"), driver="VRT")
    assert np.array_equal(read_raster(folder / "plain.vrt").values, VALUES)
    with rasterio.open(folder / "a.tif") as file:
        with rasterio.vrt.WarpedVRT(file, crs="EPSG:32633") as warped:
            copy(warped, str(folder / "warped.vrt"), driver="VRT")
            shape = warped.shape
    assert read_raster(folder / "warped.vrt").grid.shape == shape


def test_the_connection_is_typed_by_the_user(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert np.array_equal(read_raster("vrt://a.tif?bands=1").values, VALUES)
    assert np.array_equal(read_raster("GTIFF_DIR:1:a.tif").values, VALUES)
    (folder / "x.tif").write_text(vrt("../secret.tif"))
    with pytest.raises(SceneError, match="outside its folder"):
        read_raster("vrt://x.tif")


@pytest.mark.parametrize(
    "driver", ["GTiff", "PNG", "HFA", "ENVI", "JP2OpenJPEG", "netCDF", "AAIGrid"]
)
def test_formats_that_hold_pixels_are_read(folder, driver):
    path = folder / f"x.{driver}"
    profile = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    try:
        copy(str(folder / "a.tif"), str(path), driver=driver, **profile)
    except rasterio.errors.RasterioError as error:
        pytest.skip(f"this GDAL does not write {driver}: {error}")
    assert driver in PIXELS
    with open_dataset(path) as file:
        assert file.driver == driver
        assert np.array_equal(file.read(), VALUES)


def test_drivers_that_point_elsewhere_are_on_no_list():
    reaching = {"VRT", "GTI", "STACTA", "STACIT", "WMS", "WMTS", "WCS", "MRF", "DERIVED", "HTTP",
                "OGR_VRT", "WFS", "OAPIF", "CSW", "PLMOSAIC", "EEDAI", "PostgreSQL"}  # fmt: skip
    assert not reaching & {*PIXELS, *VECTORS}


OGR_VRT = (
    '<OGRVRTDataSource><OGRVRTLayer name="glaciers"><SrcDataSource>{}</SrcDataSource>'
    "</OGRVRTLayer></OGRVRTDataSource>"
)


@pytest.mark.parametrize("name", ["x.geojson", "x.gpkg", "x.vrt"])
def test_a_vector_file_that_points_elsewhere_is_refused(folder, name):
    write_outlines(folder.parent / "secret.gpkg", [box((0, 3), (0, 3))])
    (folder / name).write_text(OGR_VRT.format(folder.parent / "secret.gpkg"))
    with pytest.raises(OutlineError, match=r"points to other files.*--allow-vrt"):
        read_outlines(folder / name)


@pytest.mark.parametrize("driver", ["GPKG", "ESRI Shapefile", "GeoJSON", "FlatGeobuf", "GML"])
def test_formats_that_hold_outlines_are_read(folder, driver):
    path = folder / "x.{}".format({"ESRI Shapefile": "shp", "GML": "gml"}.get(driver, driver))
    schema = {"geometry": "Polygon", "properties": {"a": "int"}}
    ring = [(10.0, 46.0), (10.1, 46.0), (10.1, 46.1), (10.0, 46.0)]
    with fiona.open(path, "w", driver=driver, schema=schema, crs="EPSG:4326") as file:
        file.write({"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"a": 1}})
    assert len(read_outlines(path)) == 1


def test_the_flag_is_typed_and_never_read_from_a_file(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write_tif(folder.parent / "mask.tif", (VALUES > 11).astype("uint8"), utm_grid((4, 6), 100.0))
    text = vrt("../mask.tif").replace("600000,10,0,5200000,0,-10", "600000,100,0,5200000,0,-100")
    (folder / "x.tif").write_text(text)
    assert "--allow-vrt" in run_command("outline", "x.tif", "-o", "o.gpkg", code=4)
    (folder / "c.toml").write_text("allow_vrt = true")
    assert "allow_vrt" in run_command(
        "outline", "x.tif", "-o", "o.gpkg", "--config", "c.toml", code=2
    )
    assert not (folder / "o.gpkg").exists()
    run_command("outline", "x.tif", "-o", "o.gpkg", "--allow-vrt")
    assert (folder / "o.gpkg").exists()
    with pytest.raises(SceneError):
        read_raster("x.tif")


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m.pkl", "m.npz"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_no_pickle_is_loaded(tmp_path, name, protocol):
    (tmp_path / name).write_bytes(pickle.dumps(Canary(tmp_path / "canary"), protocol))
    with pytest.raises((ModelError, SceneError)):
        (load_samples if name.endswith("npz") else gx.load_model)(tmp_path / name)
    assert not (tmp_path / "canary").exists()


def test_the_name_of_a_layer_is_no_path(tmp_path):
    (tmp_path / "in").mkdir()
    path = write_outlines(tmp_path / "in" / "x.gpkg", [box((0, 3), (0, 3))], layer="glaciers")
    with sqlite3.connect(path) as database:
        database.executescript(
            'ALTER TABLE glaciers RENAME TO "../../evil"; PRAGMA foreign_keys=OFF;'
            "UPDATE gpkg_contents SET table_name='../../evil', identifier='x' "
            "WHERE table_name='glaciers';"
            "UPDATE gpkg_geometry_columns SET table_name='../../evil';"
            "DELETE FROM gpkg_extensions; DELETE FROM gpkg_ogr_contents"
        )
    database.close()
    for end in ("gpkg", "shp", "geojson"):
        run_command("divide", path, "-o", tmp_path / "in" / f"out.{end}")
    made = {file.name.split(".")[0] for file in tmp_path.rglob("*") if file.is_file()}
    assert made == {"x", "out"}
    assert [file.name for file in tmp_path.iterdir()] == ["in"]
