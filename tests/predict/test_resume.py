"""A run that was cut short goes on from its finished rows and gives the same bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from factories import box, disc, tiny_card, utm_grid, write_outlines, write_tif

import glacierx as gx
from glacierx.errors import GlacierxWarning, OutputError, ResumeError
from glacierx.extract import extract_to
from glacierx.options import (
    DivideOptions,
    EngineOptions,
    ExtractOptions,
    OutlineOptions,
    PredictOptions,
)
from glacierx.predict import job, pixels
from glacierx.predict.modelfile import build_model, save_network
from glacierx.predict.predict import _ready, predict
from glacierx.predict.resume import FinishedRows
from glacierx.profile import Profile
from glacierx.scene import provenance
from glacierx.scene.scene import open_scene

MASK = disc((400, 150), (190, 70), 60)
FP32 = EngineOptions(device="cpu", backend="torch", precision="fp32")


@pytest.fixture
def network(tmp_path):
    return save_network(build_model(tiny_card(), seed=3), tmp_path / "tiny.safetensors")


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    monkeypatch.setattr(pixels, "PIXEL_ROWS", 64)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def stopped_at(share):
    def progress(done, total, what):
        if done >= share * total:
            raise KeyboardInterrupt

    return progress


def cut_and_resumed(make, folder, share, scene_arguments, **arguments):
    """Run whole; run, interrupt at a share of the way and resume; return both files."""
    whole, cut = folder / "whole" / "p.tif", folder / "cut" / "p.tif"
    whole.parent.mkdir()
    cut.parent.mkdir()
    options = {"engine": FP32, **arguments}
    with open_scene(*make, **scene_arguments) as scene:
        predict(scene, path=whole, mask=whole.with_name("m.tif"), **options).close()
    with open_scene(*make, **scene_arguments) as scene, pytest.raises(KeyboardInterrupt):
        predict(scene, path=cut, progress=stopped_at(share), **options).close()
    assert names(cut.parent) == [".p.tif.rows"]
    seen = []
    with open_scene(*make, **scene_arguments) as scene:
        predict(
            scene, path=cut, mask=cut.with_name("m.tif"), resume=True,
            progress=lambda done, total, what: seen.append(done / total), **options,
        ).close()  # fmt: skip
    assert names(cut.parent) == ["m.tif", "p.tif"]
    return whole, cut, seen


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("model", ["network", "ndsi"])
def test_a_run_that_goes_on_gives_the_same_bytes(make_scene, network, tmp_path, model, share):
    made = make_scene(MASK)
    chosen = network if model == "network" else "ndsi"
    options = PredictOptions(median=model != "network")
    whole, cut, seen = cut_and_resumed([made], tmp_path, share, {}, model=chosen, options=options)
    for name in ("p.tif", "m.tif"):
        assert whole.with_name(name).read_bytes() == cut.with_name(name).read_bytes()
    assert seen[0] > 0.2  # what was finished is not done again
    assert seen[-1] == 1


def test_bands_of_other_grids_a_dem_and_a_region_make_no_difference(make_scene, make_dem, tmp_path):
    """Windows of files that are resampled are the same wherever a run begins."""
    made = make_scene(MASK, roles=("green", "nir"))
    coarse = utm_grid((150, 62), 27.0, corner=(599_990.0, 5_200_010.0))
    swir = np.random.default_rng(1).integers(500, 5000, (1, 150, 62)).astype("uint16")
    write_tif(tmp_path / "swir.tif", swir, coarse)
    heights = np.hypot(*np.indices((90, 60))) * 9 + 2000
    dem = make_dem(heights, utm_grid((90, 60), 53.0, corner=(599_000.0, 5_200_200.0)))
    region = write_outlines(tmp_path / "aoi.gpkg", [box((250, 390), (10, 120))])
    slots = [gx.Slot(role) for role in ("green", "nir", "swir1", "elevation", "slope")]
    card = tiny_card(inputs=tuple(slots))
    model = save_network(build_model(card, seed=5), tmp_path / "five.safetensors")
    bands = f"green={made}:1,nir={made}:2,swir1={tmp_path / 'swir.tif'}"
    arguments = {"bands": bands, "dem": dem, "aoi": region}
    whole, cut, _ = cut_and_resumed([], tmp_path, 0.8, arguments, model=model)
    assert whole.read_bytes() == cut.read_bytes()
    with rasterio.open(whole) as file:
        known = file.read(1) != 255
    assert known[250:390, 10:120].all()
    assert known.sum() == 140 * 110


class Run:
    """One extraction to one file, with what can be changed about it."""

    def __init__(self, folder, scene, dem, model, monkeypatch):
        self.folder, self.scene, self.dem, self.model = folder, scene, dem, model
        self.patch = monkeypatch
        self.read, self.predicting, self.outlining, self.dividing = {}, {}, {}, {}

    def __call__(self, *, resume=False, progress=None):
        options = ExtractOptions(
            PredictOptions(**self.predicting),
            OutlineOptions(**self.outlining),
            DivideOptions(**self.dividing),
        )
        with open_scene(self.scene, dem=self.dem, **self.read) as scene:
            return extract_to(
                self.folder / "o.gpkg", scene, self.model, options,
                resume=resume, progress=progress, engine=FP32,
            )  # fmt: skip


@pytest.fixture
def run(make_scene, make_dem, network, tmp_path, monkeypatch):
    heights = np.hypot(*np.indices((170, 80))) * 9 + 2000
    dem = make_dem(heights, utm_grid((170, 80), 30.0, corner=(599_800.0, 5_200_200.0)))
    (tmp_path / "out").mkdir()
    return Run(tmp_path / "out", make_scene(MASK), dem, network, monkeypatch)


def flip(path):
    """Change one byte in the middle of a file's pixels."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


CHANGES = {
    "the files of the scene": lambda run: flip(run.scene),
    "the DEM": lambda run: flip(run.dem),
    "how the scene is read": lambda run: run.read.update(nodata="3"),
    "the model": lambda run: save_network(
        build_model(tiny_card(), seed=4), run.model, overwrite=True
    ),
    r"the options \(tta\)": lambda run: run.predicting.update(tta="d4"),
    r"the options \(min_area_km2\)": lambda run: run.outlining.update(min_area_km2=0.5),
    r"the options \(gutter_m\)": lambda run: run.dividing.update(gutter_m=99.0),
    r"the versions \(gdal\)": lambda run: run.patch.setattr(
        job, "versions", lambda *more: {**provenance.versions(*more), "gdal": "0.1"}
    ),
}
"""What is changed between an interrupted run and the one that should go on."""


@pytest.mark.parametrize("changed", CHANGES)
def test_it_refuses_to_go_on_from_another_run(run, changed):
    with pytest.raises(KeyboardInterrupt):
        run(progress=stopped_at(0.5))
    CHANGES[changed](run)
    kept = (run.folder / ".o.gpkg.rows").read_bytes()
    with pytest.raises(ResumeError, match=f"what differs: {changed}\\. .*leave out --resume"):
        run(resume=True)
    assert names(run.folder) == [".o.gpkg.rows"]
    assert (run.folder / ".o.gpkg.rows").read_bytes() == kept


def test_an_interrupted_extraction_goes_on(run):
    run()
    whole = (run.folder / "o.gpkg").read_bytes()
    (run.folder / "o.gpkg").unlink()
    for share in (0.2, 0.5, 0.8):  # three times in a row
        with pytest.raises(KeyboardInterrupt):
            run(resume=True, progress=stopped_at(share))
    run(resume=True)
    assert (run.folder / "o.gpkg").read_bytes() == whole
    assert names(run.folder) == ["o.gpkg"]


def test_without_resume_it_begins_again(run):
    with pytest.raises(KeyboardInterrupt):
        run(progress=stopped_at(0.5))
    run.predicting["tta"] = "d4"
    seen = []
    run(progress=lambda done, total, what: seen.append(done / total))
    assert seen[0] < 0.2
    assert names(run.folder) == ["o.gpkg"]


def test_with_nothing_to_go_on_from_it_begins(run):
    run(resume=True)
    assert names(run.folder) == ["o.gpkg"]


def test_a_failure_leaves_nothing_and_a_lack_of_memory_what_can_be_resumed(run):
    def failing(error):
        def progress(done, total, what):
            if what == "patches" and done > total / 2:
                raise error

        return progress

    with pytest.raises(OutputError):
        run(progress=failing(OutputError("full")))
    assert names(run.folder) == []
    with pytest.raises(MemoryError):
        run(progress=failing(MemoryError()))
    assert names(run.folder) == [".o.gpkg.rows"]


@pytest.mark.parametrize("cut", [0, 1, 40, 0.3, 0.6, 0.9, 0.999])
def test_a_file_of_rows_cut_short_anywhere_gives_the_rows_before(tmp_path, cut):
    random = np.random.default_rng(0)
    bands = [random.integers(0, 251, (2, rows, 30)).astype(np.uint8) for rows in (5, 9, 3)]
    path = tmp_path / "rows"
    with FinishedRows(path, 30) as kept:
        kept.begin({"a": 1}, 4)
        ends = [path.stat().st_size]
        for steps in bands:
            kept.add(steps)
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    size = cut if isinstance(cut, int) else int(cut * len(whole))
    path.write_bytes(whole[:size])
    complete = sum(end <= size for end in ends[1:])
    with FinishedRows(path, 30) as kept:
        assert kept.rows == sum(steps.shape[1] for steps in bands[:complete])
        kept.begin({"a": 1}, 4)
        for found, steps in zip(kept.found(), bands, strict=False):
            assert np.array_equal(found, steps)
        for steps in bands[complete:]:
            kept.add(steps)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", range(0, 400, 23))
def test_a_bit_that_flips_is_noticed(tmp_path, at):
    path = tmp_path / "rows"
    steps = np.arange(240, dtype=np.uint8).reshape(1, 8, 30)
    with FinishedRows(path, 30) as kept:
        kept.begin({"a": 1}, None)
        for _ in range(3):
            kept.add(steps)
    whole = bytearray(path.read_bytes())
    header = whole.index(b"\n") + 1
    at = header + at % (len(whole) - header)
    whole[at] ^= 16
    path.write_bytes(whole)
    with FinishedRows(path, 30) as kept:
        assert kept.rows < 24
        assert all(np.array_equal(found, steps) for found in kept.found())


def test_the_batch_of_the_first_run_is_kept(run):
    """A GPU may have room for another number of patches, and round otherwise."""
    with pytest.raises(KeyboardInterrupt):
        run(progress=stopped_at(0.5))
    header, _, rows = (run.folder / ".o.gpkg.rows").read_bytes().partition(b"\n")
    header = json.loads(header)
    assert header["batch"] == 1
    text = json.dumps({**header, "batch": 3}, sort_keys=True).encode()
    (run.folder / ".o.gpkg.rows").write_bytes(text + b"\n" + rows)
    batches = []
    made = job.Engine

    def engine(*args, **kwargs):
        batches.append(kwargs["options"].batch)
        return made(*args, **kwargs)

    run.patch.setattr(job, "Engine", engine)
    run(resume=True)
    assert batches == [3]


def test_a_gpu_too_small_for_one_patch_gives_way_to_the_cpu(run, monkeypatch):
    """Only where nobody asked for the GPU by name."""
    with open_scene(run.scene) as scene:
        model = gx.load_model(run.model)

        def of(device):
            options = EngineOptions(device=device)
            return job.Job(scene, model, PredictOptions(), options, Profile())

        def resolve(options, passes=1):
            here = "cuda" if options.device == "auto" else options.device
            return replace(options, device=here, backend="torch", precision="fp32")

        def small(self, batch=None):
            if self.resolved.device == "cuda":
                raise MemoryError("one patch")
            return "engine"

        monkeypatch.setattr(job, "resolve", resolve)
        monkeypatch.setattr(job.Job, "make_engine", small)
        with pytest.warns(GlacierxWarning, match="the CPU is used"):
            chosen, engine = _ready(of("auto"), None)
        assert (chosen.resolved.device, engine) == ("cpu", "engine")
        record = job.make_record(chosen)
        assert record["options"]["predict"]["device"] == "cpu"
        with pytest.raises(MemoryError):
            _ready(of("cuda"), None)
