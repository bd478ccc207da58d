import shutil
import struct

import numpy as np
import pytest
import rasterio
from factories import ICE, disc, utm_grid, write_tif
from factories import run_command as run

import glacierx as gx
from glacierx.errors import OutputError
from glacierx.scene import cog
from glacierx.scene.cog import make_cog
from glacierx.scene.geotiff import RowWriter
from glacierx.scene.prediction import mask_layout, probability_layout

TAGS = {"GLACIERX_RECORD": '{"a": 1}', "GLACIERX_THRESHOLD": "0.5"}


@pytest.fixture
def steps():
    values = np.zeros((1300, 1100), np.uint8)
    values[:, 300:] = 250
    values[200:900, 500:] = 255  # no data
    return values


@pytest.fixture
def make(tmp_path, steps):
    """Write a probability map or a mask; return its path."""

    def write(kind):
        path, grid = tmp_path / f"{kind}.tif", utm_grid(steps.shape)
        layout = mask_layout(TAGS) if kind == "mask" else probability_layout(("glacier",), TAGS)
        values = np.where(steps == 250, 1, steps) if kind == "mask" else steps
        with RowWriter(path, grid, layout) as writer:
            writer.write(values[None].astype(np.uint8))
        return path

    return write


@pytest.mark.parametrize("kind", ["probability", "mask"])
def test_everything_in_the_file_survives(make, kind, tmp_path):
    path = make(kind)
    shutil.copy(path, tmp_path / "cog.tif")
    make_cog(tmp_path / "cog.tif")
    with rasterio.open(path) as one, rasterio.open(tmp_path / "cog.tif") as other:
        assert other.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert other.overviews(1) == [2, 4]
        assert np.array_equal(one.read(), other.read())
        for what in ("crs", "transform", "nodata", "scales", "offsets", "descriptions",
                     "colorinterp", "dtypes"):  # fmt: skip
            assert getattr(one, what) == getattr(other, what), what
        assert one.tags() == other.tags()
        if kind == "mask":
            assert one.colormap(1) == other.colormap(1)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "cog.tif"}


@pytest.mark.parametrize("kind", ["probability", "mask"])
def test_overviews_hold_what_can_be(make, kind):
    path = make(kind)
    make_cog(path)
    with rasterio.open(path) as file:
        small = file.read(1, out_shape=(650, 550))
    # The mean of 0 and 250 is a probability; the mean of a class and no data is neither.
    assert set(np.unique(small)) <= ({0, 125, 250, 255} if kind == "probability" else {0, 1, 255})
    assert np.array_equal(small[150:400, 300:] == 255, np.ones((250, 250), bool))


def test_the_directory_lies_before_the_pixels(make):
    path = make("probability")
    make_cog(path)
    content = path.read_bytes()
    assert b"LAYOUT=IFDS_BEFORE_DATA" in content[:400]
    assert struct.unpack("<HHI", content[:8])[1] == 42


def test_the_same_map_gives_the_same_bytes(make, tmp_path):
    path = make("probability")
    for name in ("a.tif", "b.tif"):
        shutil.copy(path, tmp_path / name)
        make_cog(tmp_path / name)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_rio_cogeo_finds_nothing_to_say(make):
    validate = pytest.importorskip("rio_cogeo.cogeo").cog_validate
    for kind in ("probability", "mask"):
        path = make(kind)
        make_cog(path)
        assert validate(path, strict=True) == (True, [], [])


def test_what_was_not_copied_is_told(make, monkeypatch):
    path = make("mask")

    def spoil(source, target, **options):
        shutil.copy(source, target)
        with rasterio.open(target, "r+") as file:
            file.write(file.read() ^ 1)

    monkeypatch.setattr(cog.rasterio.shutil, "copy", spoil)
    with pytest.raises(OutputError, match="does not read as it was written"):
        make_cog(path)


def test_outlines_of_a_cog_are_those_of_the_map(make_scene, tmp_path):
    scene = make_scene(disc((600, 600), (300, 300), 120), roles=tuple(ICE))
    for flags, name in (((), "plain"), (("--cog",), "cog")):
        run("extract", scene, "--model", "ndsi", "-o", tmp_path / f"{name}.gpkg",
            "--probability", tmp_path / f"{name}_p.tif", "--mask", tmp_path / f"{name}_m.tif",
            *flags)  # fmt: skip
        run("predict", scene, "--model", "ndsi", "-o", tmp_path / f"{name}_q.tif", *flags)
        run("outline", tmp_path / f"{name}_p.tif", "-o", tmp_path / f"{name}_c.gpkg")
    for ending in (".gpkg", "_c.gpkg"):
        one, other = (tmp_path / f"{name}{ending}" for name in ("plain", "cog"))
        assert one.read_bytes() == other.read_bytes()
    made = tmp_path / "cog_p.tif"
    assert made.read_bytes() == (tmp_path / "cog_q.tif").read_bytes()
    for name in ("cog_p.tif", "cog_m.tif"):
        with rasterio.open(tmp_path / name) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert gx.open_prediction(made).record["model"]["name"] == "ndsi"


def test_a_small_map_needs_no_overviews(tmp_path):
    path = write_tif(tmp_path / "x.tif", np.ones((1, 40, 40), np.uint8), utm_grid((40, 40)))
    make_cog(path)
    with rasterio.open(path) as file:
        assert file.overviews(1) == []
