"""Every command, run as a user runs it, and its files read again."""

import hashlib
import json
import re
from importlib import import_module

import fiona
import numpy as np
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from factories import box, disc, start_command, utm_grid, write_outlines, write_tif
from factories import run_command as run

import glacierx as gx
from glacierx.cli.main import COMMANDS, group
from glacierx.outlines.outlines import as_geometries

MASK = disc((120, 120), (60, 60), 40)


@pytest.fixture
def dem(make_dem):
    grid = utm_grid((120, 120))
    row, column = np.indices(grid.shape) + 0.5
    return make_dem(4000 - 4.0 * np.hypot(row - 60, column - 60), grid)


@pytest.fixture
def scene(make_scene):
    return make_scene(MASK)


def test_extract_writes_every_result_and_prints_their_paths(scene, dem, tmp_path):
    names = {"-o": "o.gpkg", "--probability": "p.tif", "--mask": "m.tif", "--log": "l.json"}
    flags = [part for flag, name in names.items() for part in (flag, tmp_path / name)]
    flags += ["--model", "ndsi"]
    result = run("extract", scene, "--dem", dem, *flags, "--date", "2023-08-15")
    assert result.stdout.split() == [str(tmp_path / name) for name in names.values()]
    layers = ["glaciers", "complexes", "divides", "footprint"]
    assert fiona.listlayers(tmp_path / "o.gpkg")[:4] == layers
    glaciers = gx.read_outlines(tmp_path / "o.gpkg")
    assert set(glaciers["src_date"]) == {"2023-08-15"}
    assert set(glaciers["divided"]) == {1}
    assert np.array_equal(gx.read_raster(tmp_path / "m.tif").values[0] == 1, MASK)
    log = json.loads((tmp_path / "l.json").read_text())
    assert log["record"] == gx.read_record(tmp_path / "o.gpkg")
    assert str(scene) in log["inputs"]
    assert str(dem) in log["inputs"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        ["scene.tif", "dem.tif", *names.values()]
    )


def left_half(folder):
    """Write a region that holds the left half of the scene."""
    half = as_geometries([shapely.box(600_000, 5_198_000, 600_600, 5_200_000)])
    outlines = gx.Outlines(half, utm_grid((1, 1)).crs, {"complex_id": np.ones(1, int)})
    return gx.write_outlines(outlines, folder / "region.gpkg")


def test_the_library_does_the_same_as_the_command(scene, dem, tmp_path):
    run("extract", scene, "--dem", dem, "-o", tmp_path / "cli.gpkg")
    with gx.open_scene(scene, dem=dem) as opened:
        gx.write_outlines(gx.extract(opened), tmp_path / "library.gpkg")
    assert (tmp_path / "cli.gpkg").read_bytes() == (tmp_path / "library.gpkg").read_bytes()


@pytest.mark.parametrize("limited", [False, True])
def test_the_steps_do_the_same_as_the_whole(scene, dem, tmp_path, limited):
    whole, steps = tmp_path / "whole.gpkg", tmp_path / "steps.gpkg"
    p, q, c = (tmp_path / name for name in ("p.tif", "q.tif", "c.gpkg"))
    aoi = []
    if limited:
        aoi = ["--aoi", left_half(tmp_path), "--aoi-buffer-m", "20"]
    ndsi = ("--model", "ndsi")
    run("extract", scene, "--dem", dem, "-o", whole, "--probability", p, *aoi, *ndsi)
    run("predict", scene, "-o", q, "--mask", tmp_path / "m.tif", *aoi, *ndsi)
    assert p.read_bytes() == q.read_bytes()
    run("outline", q, "-o", c, *aoi)
    assert fiona.listlayers(c) == ["complexes", "layer_styles"]
    run("divide", c, "--dem", dem, "--probability", q, "-o", steps, *aoi)
    assert set(gx.read_outlines(steps)["cut_by_aoi"]) == {int(limited)}
    one, other = gx.read_outlines(whole), gx.read_outlines(steps)
    assert all(a.equals_exact(b, 0) for a, b in zip(one.geometry, other.geometry, strict=True))
    assert one.rows() == other.rows()
    assert gx.read_record(whole) == gx.read_record(steps)
    run("outline", tmp_path / "m.tif", "-o", tmp_path / "from_mask.gpkg")
    assert len(gx.read_outlines(tmp_path / "from_mask.gpkg")) == 1


def test_a_scene_without_ice_ends_well(make_scene, dem, tmp_path):
    path = make_scene(np.zeros((60, 60), bool))
    result = run("extract", path, "-o", tmp_path / "o.gpkg")
    assert "No ice found" in result.stderr
    assert len(gx.read_outlines(tmp_path / "o.gpkg")) == 0
    other = make_scene(MASK, name="ice.tif")
    run("extract", other, "-o", tmp_path / "old.gpkg")
    for flags in ([], ["--dem", dem], ["--divides", tmp_path / "old.gpkg"]):
        run("divide", tmp_path / "o.gpkg", *flags, "-o", tmp_path / "d.gpkg", "--overwrite")
        assert len(gx.read_outlines(tmp_path / "d.gpkg")) == 0


def test_divide_says_what_it_could_not_divide(scene, dem, make_dem, tmp_path):
    run("extract", scene, "-o", tmp_path / "c.gpkg")
    divide = ("divide", tmp_path / "c.gpkg", "--overwrite", "-o", tmp_path / "d.gpkg")
    assert "There is no DEM" in run(*divide).stderr
    grid = utm_grid((120, 60))
    half = make_dem(np.full(grid.shape, 3000.0), grid, name="half.tif")
    told = run(*divide, "--dem", half).stderr
    assert "covers" in told
    assert "1 of 2 outlines lie outside the DEM" in told
    assert run(*divide, "--dem", dem).stderr == ""
    far = make_dem(np.full((50, 50), 3000.0), utm_grid((50, 50), corner=(800_000, 5_200_000)),
                   name="far.tif")  # fmt: skip
    (tmp_path / "d.gpkg").unlink()
    assert "far.tif" in run(*divide, "--dem", far, code=4)
    assert not (tmp_path / "d.gpkg").exists()


def test_divide_refuses_a_probability_map_of_another_place(scene, make_scene, tmp_path):
    run("extract", scene, "-o", tmp_path / "c.gpkg")
    far = make_scene(MASK, grid=utm_grid(MASK.shape, corner=(700_000, 5_200_000)), name="far.tif")
    run("predict", far, "-o", tmp_path / "far_p.tif")
    line = run("divide", tmp_path / "c.gpkg", "--probability", tmp_path / "far_p.tif",
               "-o", tmp_path / "d.gpkg", code=4)  # fmt: skip
    assert "far_p.tif does not overlap c.gpkg" in line


def test_outline_keeps_to_the_region(scene, tmp_path):
    region = left_half(tmp_path)
    run("predict", scene, "-o", tmp_path / "whole.tif")
    run("outline", tmp_path / "whole.tif", "--aoi", region, "-o", tmp_path / "a.gpkg")
    run("extract", scene, "--aoi", region, "-o", tmp_path / "b.gpkg")
    one, other = (gx.read_outlines(tmp_path / name, "complexes") for name in ("a.gpkg", "b.gpkg"))
    assert all(a.equals_exact(b, 0) for a, b in zip(one.geometry, other.geometry, strict=True))
    assert one["cut_by_aoi"].tolist() == [1]
    record = gx.read_record(tmp_path / "a.gpkg")
    assert record["scene"]["aoi"]["name"] == "region.gpkg"
    assert record == {k: v for k, v in gx.read_record(tmp_path / "b.gpkg").items()
                      if k not in ("dem", "inventory")}  # fmt: skip


def test_results_of_others_are_known_by_their_files(dem, tmp_path):
    grid = utm_grid(MASK.shape)
    write_tif(tmp_path / "mask.tif", MASK[None].astype("uint8"), grid)
    run("outline", tmp_path / "mask.tif", "-o", tmp_path / "c.gpkg")
    record = gx.read_record(tmp_path / "c.gpkg")
    assert record["inputs"][0]["sha256"] == sha256(tmp_path / "mask.tif")
    assert record["scene"]["gsd_m"] == pytest.approx(10, abs=0.01)
    assert "gdal" in record["versions"]
    run("divide", tmp_path / "c.gpkg", "--dem", dem, "-o", tmp_path / "g.gpkg")
    glaciers = gx.read_outlines(tmp_path / "g.gpkg")
    assert (glaciers["area_unc_km2"] > 0).all()
    bare = gx.Outlines(glaciers.geometry, glaciers.crs, {"complex_id": glaciers["complex_id"]})
    gx.write_outlines(bare, tmp_path / "bare.geojson")
    run("divide", tmp_path / "bare.geojson", "--hash", "-o", tmp_path / "h.gpkg")
    record = gx.read_record(tmp_path / "h.gpkg")
    assert record["inputs"][0] == {
        "name": "bare.geojson", "sha256": sha256(tmp_path / "bare.geojson")
    }  # fmt: skip


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_misspelt_command_is_told_which_one_it_is_like():
    assert "Did you mean extract?" in run("extrct", code=2)
    assert "Did you mean" not in run("photosynthesis", code=2)


def test_quiet_says_nothing_and_verbose_says_more(scene, tmp_path):
    quiet = run("extract", scene, "-o", tmp_path / "a.gpkg", "-q")
    assert quiet.stderr == ""
    assert quiet.stdout == f"{tmp_path / 'a.gpkg'}\n"
    plain = run("extract", scene, "-o", tmp_path / "b.gpkg")
    assert plain.stderr.count("Warning: ") == 1
    assert "There is no DEM" in plain.stderr
    model = gx.read_record(tmp_path / "b.gpkg", "complexes")["model"]["name"]
    found = re.search(r"^(\d+) glaciers? in \d+ complex(?:es)?, ([\d.]+) km2, by (.*)$",
                      plain.stderr, re.MULTILINE)  # fmt: skip
    areas = gx.read_outlines(tmp_path / "b.gpkg")["area_km2"]
    assert found.groups() == (str(len(areas)), f"{areas.sum():.2f}", model)


def test_a_config_file_sets_options_and_flags_win(scene, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('date = "2020-01-01"\n[outline]\nmin-area-km2 = 5.0\nsmooth_px = 0\n')
    run("extract", scene, "-o", tmp_path / "a.gpkg", "--config", config)
    record = gx.read_record(tmp_path / "a.gpkg", "complexes")
    assert record["options"]["outline"]["min_area_km2"] == 5.0
    assert record["scene"]["src_date"] == "2020-01-01"
    assert len(gx.read_outlines(tmp_path / "a.gpkg")) == 0
    run("extract", scene, "-o", tmp_path / "b.gpkg", "--config", config, "--min-area-km2", "0.1")
    assert len(gx.read_outlines(tmp_path / "b.gpkg")) == 1
    config.write_text('hash = true\nbands = "blue,green,red,nir,swir1"\ninvalid = []\n')
    run("extract", scene, "-o", tmp_path / "d.gpkg", "--config", config)
    config.write_text('bands = ["blue=1,green=2", "nir=4,swir1=5"]\n')
    run("extract", scene, "-o", tmp_path / "e.gpkg", "--config", config)
    bands = gx.read_record(tmp_path / "e.gpkg", "complexes")["scene"]["bands"]
    assert set(bands) == {"blue", "green", "nir", "swir1"}
    config.write_text("colour = 1\n")
    line = run("extract", scene, "-o", tmp_path / "c.gpkg", "--config", config, code=2)
    assert "sets colour, which extract does not have" in line
    for text, message in (
        ('min_area_km2 = "a"', "min_area_km2 is 'a'. It takes a number"),
        ("min_area_km2 = [1]", "It takes a number"),
        ("min_area_km2 = true", "It takes a number"),
        ("min_area_km2 = 2023-08-15", "It takes a number"),
        ("batch = 1.5", "It takes a whole number"),
        ("hash = 1", "It takes true or false"),
        ("force_dem = 1", "It takes true or false"),
        ("aoi = true", "It takes text"),
        ('bands = ["a", true]', "It takes text"),
        ('config = "x"', "sets config, which extract does not have"),
    ):
        config.write_text(text)
        assert message in run(
            "extract", scene, "-o", tmp_path / "c.gpkg", "--config", config, code=2
        )
    config.write_bytes("# Gletscher am Großglockner\n".encode("latin-1"))
    assert "is not TOML in UTF-8" in run(
        "extract", scene, "-o", tmp_path / "c.gpkg", "--config", config, code=2
    )
    config.write_text("date = 2021-02-03\nnodata = 0\nverbose = 1\n")
    run("extract", scene, "-o", tmp_path / "f.gpkg", "--config", config)
    assert gx.read_record(tmp_path / "f.gpkg", "complexes")["scene"]["src_date"] == "2021-02-03"
    config.write_text("not toml")
    assert "is not TOML" in run(
        "extract", scene, "-o", tmp_path / "c.gpkg", "--config", config, code=2
    )


def test_a_run_records_options_can_be_fed_back(scene, dem, tmp_path):
    run("extract", scene, "--dem", dem, "-o", tmp_path / "a.gpkg", "--divides", "kienholz2013",
        "--min-area-km2", "0.2")  # fmt: skip
    options = gx.read_record(tmp_path / "a.gpkg")["options"]
    lines = [
        f"{key} = {json.dumps(value)}"
        for section in options.values()
        for key, value in section.items()
        if value is not None
    ]
    (tmp_path / "again.toml").write_text("\n".join(lines))
    run(
        "extract",
        scene,
        "--dem",
        dem,
        "-o",
        tmp_path / "b.gpkg",
        "--config",
        tmp_path / "again.toml",
    )
    assert gx.read_record(tmp_path / "b.gpkg")["options"] == options


def test_presets_of_divides_are_defaults(scene, dem, tmp_path):
    run("extract", scene, "--dem", dem, "-o", tmp_path / "a.gpkg", "--divides", "kienholz2013",
        "--radius-max-m", "1400")  # fmt: skip
    options = gx.read_record(tmp_path / "a.gpkg")["options"]["divide"]
    assert (options["radius_factor"], options["burn_slope"]) == (0.3575, 0)
    assert options["radius_max_m"] == 1400


def test_divides_can_be_copied_from_a_file(scene, tmp_path):
    run("extract", scene, "-o", tmp_path / "old.gpkg")
    run("extract", scene, "-o", tmp_path / "new.gpkg", "--divides", tmp_path / "old.gpkg")
    new, old = gx.read_outlines(tmp_path / "new.gpkg"), gx.read_outlines(tmp_path / "old.gpkg")
    assert new["ref_id"].tolist() == old["glac_id"].tolist()
    line = run("extract", scene, "-o", tmp_path / "x.gpkg", "--divides", "fast", code=4)
    assert "The vector file fast does not exist" in line


def test_models_are_listed_and_shown(tmp_path):
    listed = run("models", "list").stdout
    for name in ("ndsi", "otsu", "attention_deeplabv3plus", "Presets of glacierx train: chu2022"):
        assert name in listed
    assert json.loads(run("models", "show", "ndsi").stdout)["kind"] == "pixel method"
    card = gx.Card("mine", "deeplabv3plus", (gx.Slot("green"),), arguments={"depth": 18})
    path = gx.save_model(gx.build_model(card), tmp_path / "mine.safetensors")
    assert json.loads(run("models", "show", path).stdout)["name"] == "mine"


def test_a_network_runs_from_the_command_line(scene, tmp_path):
    card = gx.Card(
        "mine", "deeplabv3plus", (gx.Slot("green"), gx.Slot("nir")), patch_px=64,
        arguments={"depth": 18, "widths": [4, 4, 4, 4, 8], "pyramid_width": 4}, tta="chu6",
    )  # fmt: skip
    model = gx.save_model(gx.build_model(card), tmp_path / "mine.safetensors")
    run("predict", scene, "-o", tmp_path / "p.tif", "--model", model, "--device", "cpu")
    run("extract", scene, "-o", tmp_path / "o.gpkg", "--model", model, "--tta", "none")
    record = gx.read_record(tmp_path / "o.gpkg", "complexes")
    assert record["model"]["name"] == "mine"
    assert "torch" in record["versions"]
    assert record["options"]["predict"]["tta"] == "none"


def test_a_dem_reaches_a_network_from_the_command_line(make_scene, tmp_path):
    grid = utm_grid((80, 80))
    path = make_scene(disc((80, 80), (40, 40), 30))
    heights = np.stack([np.ones((80, 80)), 3000 + np.indices((80, 80))[1]]).astype("float32")
    dem = write_tif(tmp_path / "two.tif", heights, grid, descriptions=("mask", "other"))
    card = gx.Card(
        "steep", "deeplabv3plus", (gx.Slot("green"), gx.Slot("slope", "terrain")), patch_px=64,
        arguments={"depth": 18, "widths": [4, 4, 4, 4, 8], "pyramid_width": 4},
    )  # fmt: skip
    model = gx.save_model(gx.build_model(card), tmp_path / "steep.safetensors")
    line = run("predict", path, "-o", tmp_path / "p.tif", "--model", model, code=4)
    assert "no 'slope' band" in line
    assert "give --dem FILE" in line
    flags = ("--model", model, "--dem", dem, "--dem-band", 2)
    run("predict", path, "-o", tmp_path / "p.tif", *flags)
    with gx.open_prediction(tmp_path / "p.tif") as prediction:
        told = prediction.record["terrain"]
    assert told["roles"] == ["slope"]
    assert (told["dem"]["name"], told["dem"]["band"]) == ("two.tif", 2)
    run("extract", path, "-o", tmp_path / "o.gpkg", "--divides", "flowsheds", *flags)
    record = gx.read_record(tmp_path / "o.gpkg", "complexes")
    assert record["terrain"] == told
    assert record["dem"] == told["dem"]
    line = run("predict", path, "-o", dem, "--overwrite", *flags, code=5)
    assert "is an input" in line


def test_simulate_and_demo(tmp_path):
    made = run("simulate", "--size", "256", "--gsd", "30", "--seed", "2", "-o", tmp_path / "made")
    assert [name.split("/")[-1] for name in made.stdout.split()] == [
        "scene.tif",
        "dem.tif",
        "outlines.gpkg",
    ]
    result = run("demo", "--out", tmp_path / "out", "--size", "256")
    assert (tmp_path / "out" / "outlines.gpkg").exists()
    assert (tmp_path / "out" / "outlines.png").exists()
    [iou] = re.findall(r"IoU of (0\.\d+)", result.stderr)
    assert float(iou) > 0.6
    assert "The ice was found by starter." in result.stderr
    run("demo", "--out", tmp_path / "out", "--size", "256", code=5)


def test_simulate_renders_a_real_place(tmp_path, make_dem):
    rows, columns = np.indices((100, 100))
    dem = make_dem(3500 - 8.0 * rows + 9.0 * np.abs(columns - 50), utm_grid((100, 100), 30))
    ice = write_outlines(tmp_path / "ice.gpkg", [box((10, 70), (40, 60), 30)])
    made = run(
        "simulate", "--dem", dem, "--outlines", ice, "--sensor", "landsat8", "-o", tmp_path / "made"
    )
    scene, *_ = made.stdout.split()
    with rasterio.open(scene) as file:
        assert file.descriptions[:3] == ("blue", "green", "red")
        assert file.res == (30, 30)
    far = write_outlines(tmp_path / "far.gpkg", [box((9000, 9010), (0, 10), 30)])
    for given, code, text in (
        (["--dem", dem], 2, "belong together"),
        (["--dem", dem, "--outlines", far], 4, "No outline of far.gpkg lies on the heights of"),
        (["--dem", tmp_path / "none.tif", "--outlines", ice], 4, "none.tif does not exist"),
        (["--dem", dem, "--outlines", tmp_path / "no.gpkg"], 4, "no.gpkg does not exist"),
        (["--sensor", "sputnik"], 2, "'sputnik' is not known"),
    ):
        assert text in run("simulate", *given, "-o", tmp_path / "other", code=code)


@pytest.fixture
def bad(tmp_path, make_scene, make_dem):
    """Files that are wrong in one way each."""
    grid = utm_grid((40, 40))
    values = np.ones((1, 40, 40), "uint16")
    far = utm_grid((40, 40), corner=(700_000, 5_200_000))
    write_tif(tmp_path / "no_crs.tif", values, grid, crs=None, descriptions=("green",))
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("text")
    (tmp_path / "model.pth").write_bytes(b"PK\x03\x04")
    make_dem(np.ones((40, 40)), far, name="far.tif")
    make_dem(np.ones((40, 40)), utm_grid((40, 40), 200), name="coarse.tif")
    make_scene(MASK, roles=("green", "nir"), scales=None, name="two.tif")
    write_tif(tmp_path / "bare.tif", np.ones((4, 40, 40), "uint16"), grid)
    (tmp_path / "existing.gpkg").write_text("precious")
    return tmp_path


CASES = [
    (["extract", "none.tif", "-o", "o.gpkg"], 4, "The scene none.tif does not exist"),
    (["extract", "empty.tif", "-o", "o.gpkg"], 4, "is empty"),
    (["extract", "text.tif", "-o", "o.gpkg"], 4, "cannot be read as a raster"),
    (["extract", "no_crs.tif", "-o", "o.gpkg"], 4, "has no CRS"),
    (["extract", "bare.tif", "-o", "o.gpkg"], 4, "Name them with their numbers"),
    (["extract", "scene.tif", "-o", "existing.gpkg"], 5, "exists already. Use --overwrite"),
    (["extract", "scene.tif", "-o", "no/o.gpkg"], 5, "folder no does not exist"),
    (["extract", "scene.tif", "-o", "o.kml"], 5, "outlines are written as .gpkg"),
    (["extract", "scene.tif", "-o", "scene.tif"], 5, "outlines are written as"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--probability", "scene.tif", "--overwrite"], 5,
     "scene.tif is an input"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--dem", "far.tif"], 4, "does not overlap"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--dem", "coarse.tif"], 4, "--force-dem"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--dem", "none.tif"], 4, "The DEM none.tif does not"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--model", "model.pth"], 6, "is a pickle"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--model", "nonsense"], 6, "no model of that name"),
    (["extract", "two.tif", "-o", "o.gpkg", "--model", "ndsi"], 4, "no 'swir1' band"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--sensor", "modis"], 2, "'modis' is not known"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--threshold", "7"], 2, "--threshold is 7"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--bands", "green=1,nir=x.tif"], 4, "x.tif does not"),
    (["extract", "-o", "o.gpkg"], 2, "There is no scene"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--device", "tpu"], 2, "--device 'tpu'"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--device", "meta"], 2, "none of cpu, cuda, mps"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--device", "cpu:7"], 2, "--device 'cpu:7'"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--aoi", "none.gpkg"], 4, "does not exist"),
    (["predict", "two.tif", "-o", "far.tif"], 5, "exists already"),
    (["predict", "two.tif", "-o", "o.gpkg"], 5, "rasters are written as .tif"),
    (["predict", "two.tif", "-o", "o.tif", "--mask", "./o.tif"], 5, "asked for twice"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--log", "o.gpkg"], 5, "o.gpkg is asked for twice"),
    (["extract", "scene.tif", "-o", "o.gpkg", "--mask", "o.png"], 5, "o.png ends in .png"),
    (["outline", "text.tif", "-o", "o.gpkg"], 4, "cannot be read as a raster"),
    (["outline", "bare.tif", "-o", "o.gpkg"], 4, "4 bands"),
    (["divide", "existing.gpkg", "-o", "o.gpkg", "--aoi", "x"], 2, "give it with --probability"),
    (["divide", "existing.gpkg", "-o", "o.gpkg"], 4, "cannot be read as a vector layer"),
    (["models", "show", "text.tif"], 6, "is not a safetensors file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "message"), CASES, ids=[case[2] for case in CASES])
def test_bad_input_is_one_line_and_leaves_nothing(
    bad, scene, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(bad)
    before = {file.name: file.read_bytes() for file in bad.iterdir()}
    assert message in run(*arguments, code=code)
    assert {file.name: file.read_bytes() for file in bad.iterdir()} == before


@pytest.fixture
def inputs(scene, dem, tmp_path, monkeypatch):
    """Every kind of input beside each other, with the command that reads them."""
    from rasterio.shutil import copy

    monkeypatch.chdir(tmp_path)
    run("extract", "scene.tif", "-o", "inventory.gpkg", "--mask", "clouds.tif")
    run("outline", "clouds.tif", "-o", "complexes.gpkg")
    run("outline", "clouds.tif", "-o", "region.geojson")
    copy("scene.tif", "scene.vrt", driver="VRT")
    card = gx.Card("m", "deeplabv3plus", (gx.Slot("green"),), arguments={"depth": 18})
    gx.save_model(gx.build_model(card), "model.safetensors")
    return tmp_path


EXTRACT = (
    "extract scene.vrt --dem dem.tif --divides inventory.gpkg --aoi region.geojson "
    "--invalid clouds.tif --model model.safetensors"
)
OVER_INPUTS = [
    (f"{EXTRACT} -o o.gpkg --probability {name} --overwrite", name)
    for name in ("scene.tif", "dem.tif", "clouds.tif")
] + [
    (f"{EXTRACT} -o inventory.gpkg --overwrite", "inventory.gpkg"),
    (f"{EXTRACT} -o region.geojson --overwrite", "region.geojson"),
    (f"{EXTRACT} -o o.gpkg --log scene.tif --overwrite", "scene.tif"),
    (f"{EXTRACT} -o o.gpkg --log model.safetensors --overwrite", "model.safetensors"),
    ("predict scene.vrt -o scene.tif --overwrite", "scene.tif"),
    ("predict file:scene.tif -o scene.tif --overwrite", "scene.tif"),
    ("predict vrt://scene.tif -o scene.tif --overwrite", "scene.tif"),
    ("predict GTIFF_DIR:1:scene.tif -o scene.tif --overwrite", "scene.tif"),
    ("outline clouds.tif --aoi region.geojson -o region.geojson --overwrite", "region.geojson"),
    ("divide complexes.gpkg -o complexes.gpkg --overwrite", "complexes.gpkg"),
    ("divide complexes.gpkg --divides inventory.gpkg -o inventory.gpkg --overwrite", "inventory"),
]


@pytest.mark.parametrize(("command", "named"), OVER_INPUTS)
def test_no_input_is_ever_overwritten(inputs, command, named):
    before = {file.name: file.read_bytes() for file in inputs.iterdir()}
    line = run(*command.split(), code=5)
    assert named in line
    assert "is an input" in line
    assert {file.name: file.read_bytes() for file in inputs.iterdir()} == before


def test_a_truncated_scene_leaves_nothing(make_scene, tmp_path):
    from rasterio.shutil import copy

    mask = np.random.default_rng(0).random((600, 600)) > 0.5
    copy(str(make_scene(mask)), str(tmp_path / "cog.tif"), driver="COG")
    (tmp_path / "scene.tif").unlink()
    data = (tmp_path / "cog.tif").read_bytes()
    (tmp_path / "cog.tif").write_bytes(data[: len(data) * 2 // 3])
    line = run("extract", tmp_path / "cog.tif", "-o", tmp_path / "o.gpkg", code=4)
    assert "damaged or cut short" in line
    assert [file.name for file in tmp_path.iterdir()] == ["cog.tif"]


def test_memory_that_runs_out_ends_with_advice(scene, tmp_path, monkeypatch):
    def fail(*arguments, **keywords):
        raise MemoryError

    monkeypatch.setattr(import_module("glacierx.extract"), "extract_to", fail)
    line = run("extract", scene, "-o", tmp_path / "o.gpkg", code=7)
    assert "smaller --patch-px" in line


def test_debug_shows_the_traceback(tmp_path):
    result = CliRunner().invoke(group, ["extract", "none.tif", "-o", "o.gpkg", "--debug"])
    assert isinstance(result.exception, gx.SceneError)


def test_usage_errors_name_the_option(scene):
    result = CliRunner().invoke(group, ["extract", str(scene)])
    assert result.exit_code == 2
    assert "Missing option '-o'" in result.stderr
    result = CliRunner().invoke(group, ["extract", str(scene), "-o", "o.gpkg", "--tta", "all"])
    assert result.exit_code == 2
    assert "'none', 'chu6', 'd4'" in result.stderr


def test_versions_are_shown():
    assert gx.__version__ in run("--version").stdout
    shown = run("--show-versions").stdout
    for name in ("glacierx", "gdal", "geos", "proj", "torch"):
        assert name in shown
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--gdal-version").stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_an_example(command):
    text = run(command, "--help").stdout
    assert f"glacierx {command}" in text
    assert "Example:" in text


def test_progress_is_silent_unless_on_a_terminal(scene, tmp_path):
    with start_command("extract", scene, "-o", "o.gpkg", folder=tmp_path) as process:
        out, err = process.communicate(timeout=120)
    assert out == "o.gpkg\n"
    assert "%" not in err
