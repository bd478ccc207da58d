"""The pages in docs/ say what is so: their commands run, the flags and files they name exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from factories import write_tif
from shapely import box, intersects

import glacierx as gx
from glacierx.cli.main import COMMANDS, group
from glacierx.scene.grid import Grid

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
FOREIGN = {"--array", "--nthreads", "--resources"}
"""Flags of Slurm and Dask that the pages name."""
# What these print is a table, not the paths of results.
TABLES = ("batch", "evaluate", "compare", "doctor", "verify", "presets", "crossval")

every_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text):
    lines = "".join(blocks(text, "sh")).splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def write_tables(text, folder):
    """Write the manifests that a page shows, under the names that it gives them."""
    found = re.findall(r"This one is `(\w+\.\w+)`:\n\n```(?:csv|jsonl)\n(.*?)```", text, re.DOTALL)
    for name, table in found:
        (folder / name).write_text(table)


def run(line):
    program, *arguments = shlex.split(line)
    assert program == "glacierx", line
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, (line, result.output)
    if arguments[0] not in TABLES and "--estimate" not in arguments:
        for path in result.stdout.split():
            assert Path(path).exists(), (line, path)


def as_landsat_product(folder):
    """Write the bands of the tutorial's scene as the USGS does: plain numbers, a file for each."""
    with rasterio.open(folder / "place" / "scene.tif") as file:
        grid = Grid(file.crs, file.transform, file.shape)
        for number, name in enumerate(("B2", "B3", "B4", "B5", "B6", "B7"), 1):
            values = file.read(number)[None]
            write_tif(folder / f"LC09_SR_{name}.TIF", values, grid, nodata=0)
    # Bit 0 is fill, bit 3 cloud: a cloud in the corner.
    flags = np.full(grid.shape, 1 << 6, "uint16")
    flags[:40, :40] |= 1 << 3
    write_tif(folder / "LC09_QA_PIXEL.TIF", flags[None], grid)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tutorial was followed to its end."""
    path = tmp_path_factory.mktemp("tutorial")
    write_tables(TUTORIAL, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for line in commands(TUTORIAL):
            if "LC09_SR" in line:
                as_landsat_product(path)
            run(line)
    return path


def test_the_tutorial_leads_to_an_inventory(folder):
    first, third = (gx.read_outlines(folder / f"{name}.gpkg") for name in ("first", "third"))
    assert len(first) > 5
    assert len(third) > 5
    assert (folder / "rgi7" / "rgi7-G-11-01.shp").exists() or any((folder / "rgi7").glob("*-G*"))
    assert set(gx.read_outlines(folder / "region.gpkg")["src_date"]) >= {"2024-09-21"}


def test_the_files_that_the_tutorial_speaks_of_are_there(folder):
    spoken = set(re.findall(r"`([\w/]+\.(?:gpkg|tif|html|png|csv|json|safetensors))`", TUTORIAL))
    assert {"first.gpkg", "errors.png", "by_glacier.csv"} <= spoken
    for name in spoken - {"scene.tif", "dem.tif", "outlines.gpkg"}:
        assert (folder / name).exists(), name
    for name in ("scene.tif", "dem.tif", "outlines.gpkg"):
        assert (folder / "place" / name).exists()


def test_bands_of_a_landsat_product_give_the_outlines_of_the_stacked_scene(folder):
    """But for the thermal band, and the cloud, which the mask takes out."""
    roles = ("green", "swir1")
    with gx.open_scene(folder / "place" / "scene.tif") as scene:
        grid = scene.grid
        stacked = scene.read(grid.window, roles)
    with gx.open_scene(
        bands={"green": folder / "LC09_SR_B3.TIF", "swir1": folder / "LC09_SR_B6.TIF"},
        sensor="landsat-9", level="l2", invalid=f"{folder / 'LC09_QA_PIXEL.TIF'}=bit1-4",
    ) as scene:  # fmt: skip
        assert scene.grid == grid
        files = scene.read(grid.window, roles)
    assert not files.valid[:40, :40].any()
    assert (files.valid[40:] == stacked.valid[40:]).all()
    np.testing.assert_allclose(files.values[:, 40:], stacked.values[:, 40:], atol=1e-6)
    found = gx.read_outlines(folder / "landsat.gpkg")
    west, north = grid.transform * (0, 0)
    east, south = grid.transform * (40, 40)
    assert not intersects(found.geometry, box(west + 60, south + 60, east - 60, north - 60)).any()


@every_guide
def test_commands_of_a_page_run(guide, tmp_path, monkeypatch):
    lines = commands(guide.read_text())
    if guide.stem == "tutorial" or not lines:
        return
    if "simulate" not in lines[0]:
        # A page that begins with the reader's own files.
        table = "scene,labels,layer,dem\n"
        for seed, name in enumerate((".", "second"), 2):
            made = gx.simulate(tmp_path / name, gx.SimulateOptions(size=192, gsd=30, seed=seed))
            table += f"{made.scene},{made.outlines},glaciers,{made.dem}\n"
        (tmp_path / "scenes.csv").write_text(table)
    write_tables(guide.read_text(), tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        run(line)
    for code in blocks(guide.read_text(), "python") if guide.stem != "python" else ():
        exec(compile(code, guide.name, "exec"), {})
    if guide.stem == "results":
        assert Path("outlines.html").read_text().startswith("<!doctype html>")
    if guide.stem == "training":
        assert gx.load_model("from_python.safetensors").card.training["best"]["step"] == 1


@every_guide
def test_flags_and_commands_that_a_page_names_exist(guide):
    text = guide.read_text()
    known = {flag for parameter in group.params for flag in parameter.opts}
    for name in COMMANDS:
        for parameter in getattr(group.get_command(None, name), "params", []):
            known |= {*parameter.opts, *parameter.secondary_opts}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
    benchmarks = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", "".join(
        path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))))  # fmt: skip
    assert used <= known | FOREIGN | benchmarks, used - known - benchmarks
    for name in re.findall(r"`glacierx ([a-z]+)", text):
        assert name in COMMANDS, name


def anchors(path):
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("guide", [ROOT / "README.md", *GUIDES], ids=lambda path: path.stem)
def test_files_and_sections_that_a_page_points_to_exist(guide):
    text = guide.read_text()
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if target.startswith(("http", "mailto")):
            continue
        path = guide.parent / target if target else guide
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), (target, anchor)
    for target in re.findall(r"`((?:examples|benchmarks|tests|docs)/[\w./-]+\.\w+)`", text):
        assert (ROOT / target).exists(), target


def test_the_cells_of_the_library_run_as_a_notebook(tmp_path, monkeypatch):
    """In one namespace, one after another; together they use every function that is public."""
    import inspect

    text = (ROOT / "docs" / "python.md").read_text()
    cells = blocks(text, "python")
    monkeypatch.chdir(tmp_path)
    space = {}
    for number, cell in enumerate(cells, 1):
        exec(compile(cell, f"docs/python.md, cell {number}", "exec"), space)
    functions = {name for name in gx.__all__ if inspect.isfunction(getattr(gx, name))}
    used = set(re.findall(r"gx\.(\w+)\(", "".join(cells)))
    assert functions - used <= {"allow_vrt"}
    assert {path.name for path in tmp_path.glob("*.gpkg")} == {"outlines.gpkg", "region.gpkg"}
