"""Computed roles and rasters beside the scene, from the manifest to a trained network."""

import json

import numpy as np
import pytest
import torch
from factories import disc, quick, tiny_card, utm_grid, write_tif

from glacierx.batch.key import inputs_of, key_of, what_differs
from glacierx.batch.manifest import find_rows
from glacierx.errors import MissingBandError, SceneError
from glacierx.predict.card import Slot
from glacierx.predict.modelfile import build_model, load_network, save_network
from glacierx.predict.normalise import Normalisation
from glacierx.predict.predict import predict
from glacierx.scene.scene import open_scene
from glacierx.training.manifest import Row, read_manifest
from glacierx.training.options import SplitOptions
from glacierx.training.run import Place
from glacierx.training.samples import load_samples
from glacierx.training.sources import FileSource
from glacierx.training.train import export, open_data, train

SHAPE = 96, 80
MASK = disc(SHAPE, (48, 40), 26)
TERRAIN = ("elevation", "aspect_sin", "aspect_cos", "profile_curvature", "sadi")
SLOTS = (
    Slot("green"), Slot("ndsi", "index"), *(Slot(role, "terrain") for role in TERRAIN),
    Slot("coherence", "insar"), Slot("dhdt", "aux", required=False),
)  # fmt: skip
CARD = tiny_card(inputs=SLOTS, normalisation=Normalisation("spectral-scene"), patch_px=32)


@pytest.fixture
def place(tmp_path, make_scene, make_dem):
    """A scene, its labels, its DEM and two rasters beside it."""
    grid = utm_grid(SHAPE)
    row, column = np.indices(SHAPE).astype(float)
    make_scene(MASK)
    write_tif(tmp_path / "lab.tif", MASK[None].astype("uint8"), grid)
    make_dem(3000 - 3 * np.hypot(row - 48, column - 40), grid)
    beside = np.where(MASK, 0.2, 0.8).astype("float32")
    beside[:, :9] = np.nan
    write_tif(tmp_path / "coh.tif", beside[None], grid)
    write_tif(tmp_path / "dh.tif", np.full((1, *SHAPE), -2, "float32"), grid)
    return tmp_path


def manifest(place, header="scene,labels,dem,aux_coherence,aux_dhdt",
             line="scene.tif,lab.tif,dem.tif,coh.tif,dh.tif"):  # fmt: skip
    path = place / "scenes.csv"
    path.write_text(f"{header}\n{line}\n")
    return path


def test_columns_give_rasters_by_role_whichever_way(place):
    [one] = read_manifest(manifest(place))
    [other] = read_manifest(
        manifest(
            place, "scene,labels,dem,aux", "scene.tif,lab.tif,dem.tif,coherence=coh.tif;dhdt=dh.tif"
        )
    )
    assert one == other
    assert one.aux == f"coherence={place / 'coh.tif'};dhdt={place / 'dh.tif'}"
    [none] = read_manifest(manifest(place, line="scene.tif,lab.tif,dem.tif,,"))
    assert none.aux is None
    for header, line, said in (
        ("scene,labels,aux", "a,b,coherence", "line 2: --aux is 'coherence'. Give it as ROLE=FILE"),
        ("scene,labels,aux_B8", "a,b,c.tif", "line 2: --aux names 'B8'. A role is a word"),
        ("scene,labels,aux,aux_own", "a,b,own=c.tif,d.tif", "line 2: --aux names 'own' twice"),
        ("scene,labels,auxiliary", "a,b,c", "there is no column auxiliary"),
    ):
        with pytest.raises(SceneError, match=said):
            read_manifest(manifest(place, header, line))


def test_a_source_has_the_planes_that_a_scene_has(place):
    [row] = read_manifest(manifest(place))
    with FileSource(row, CARD) as source:
        assert source.roles == CARD.roles
        values, label = source.read(0, 0, *SHAPE)
        said = source.about
        assert str(place / "coh.tif") in source.paths
    # Pixels without coherence, which is required, are unknown.
    assert (label[:, :9] == 254).all()
    assert not (label[:, 9:] == 254).any()
    known = np.s_[12:-12, 20:-12]
    plane = dict(zip(CARD.roles, values, strict=True))
    # A cone faces away from its top; a direction is halved.
    row, column = np.indices(SHAPE) - np.array([48.0, 40.0])[:, None, None]
    far = np.hypot(row, column).clip(1)
    away = (far > 6)[known]
    assert plane["aspect_sin"][known][away] == pytest.approx(
        (column / far / 2)[known][away], abs=0.02
    )
    assert plane["aspect_cos"][known][away] == pytest.approx(
        (-row / far / 2)[known][away], abs=0.02
    )
    # It is straight downhill: no curvature is the middle of its limits.
    assert plane["profile_curvature"][known][away] == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(plane["coherence"][:, 9:] < 0.5, MASK[:, 9:])
    assert np.array_equal(plane["ndsi"] > 0.5, MASK & (label != 254))
    assert said["aux"]["coherence"]["name"] == "coh.tif"
    assert said["dem"]["name"] == "dem.tif"
    assert str(place) not in json.dumps(dict(said))


def test_a_line_without_a_required_raster_is_refused_with_the_way_to_give_it(place):
    row = Row(str(place / "scene.tif"), str(place / "lab.tif"), dem=str(place / "dem.tif"))
    with pytest.raises(MissingBandError, match="give --aux coherence=FILE"):
        FileSource(row, CARD)


def test_computed_roles_reach_a_network_by_manifest_and_by_sample_file_alike(place):
    torch.set_num_threads(1)
    options, split = quick(epochs=1, epoch_patches=8, augment="full"), SplitOptions(split="block")
    model, path = build_model(CARD), manifest(place)
    with open_data(path, CARD, split, options=options) as data:
        export(data, place / "samples.npz")
    samples, _ = load_samples(place / "samples.npz")
    assert {sample.roles for sample in samples} == {CARD.roles}
    first = train(path, model, options, split, Place())
    second = train(place / "samples.npz", model, options, split, Place())
    for name, weight in first.network.state_dict().items():
        assert torch.equal(weight, second.network.state_dict()[name]), name
    assert first.card.training["scenes"][0]["aux"]["dhdt"]["name"] == "dh.tif"
    save_network(first, place / "m.safetensors")
    loaded = load_network(place / "m.safetensors")
    with (
        open_scene(
            place / "scene.tif", dem=place / "dem.tif", aux={"coherence": place / "coh.tif"}
        ) as scene,
        predict(scene, loaded) as prediction,
    ):
        unknown = prediction.read(prediction.grid.window) == 255
    assert np.array_equal(unknown, np.indices(SHAPE)[1] < 9)


# Batches: the column, and what a result follows from.


def test_a_batch_reads_rasters_by_column_and_does_a_scene_again_when_one_changes(place):
    from glacierx.batch.batch import Kept, make_tasks

    path = place / "many.csv"
    path.write_text("scene,aux_coherence,aux\nscene.tif,coh.tif,dhdt=dh.tif\n")
    [task] = make_tasks(find_rows(path, {"model": "ndsi"}), place / "out", Kept())
    assert task.scene["aux"] == (f"dhdt={place / 'dh.tif'}", f"coherence={place / 'coh.tif'}")
    inputs = inputs_of(task)
    key = key_of(task, inputs)
    assert key["options"]["aux"] == ["dhdt=dh.tif", "coherence=coh.tif"]
    assert str(place) not in json.dumps(key)
    assert what_differs(key, key_of(task, inputs), inputs) is None
    write_tif(place / "coh.tif", np.zeros((1, *SHAPE), "float32"), utm_grid(SHAPE))
    changed = key_of(task, inputs_of(task))
    assert what_differs(key, changed, inputs) == "the coherence raster coh.tif changed"
    # What holds for all scenes gives way to a line's own.
    [given] = find_rows(path, {"aux": ("velocity=v.tif",)})
    assert [text.partition("=")[0] for text in given.values["aux"]] == ["dhdt", "coherence"]
    # A batch without such rasters has the key that it had before there were any.
    path.write_text("scene\nscene.tif\n")
    [plain] = make_tasks(find_rows(path, {"model": "ndsi", "aux": ()}), place / "out", Kept())
    assert "aux" not in key_of(plain, inputs_of(plain))["options"]
    path.write_text("scene,aux\nscene.tif,swir1=a.tif\n")
    with pytest.raises(SceneError, match=r"many\.csv, line 2: .*give it with --bands"):
        find_rows(path, {})
