import json
import pickle
import zipfile

import numpy as np
import pytest
from factories import disc_sample

from glacierx.errors import OutputError, SceneError
from glacierx.training.samples import (
    INVALID,
    Sample,
    load_samples,
    load_source,
    overlap,
    save_samples,
)

ABOUT = {"scaling": {"kind": "percentile-scene"}}


def test_scenes_go_through_a_file_unchanged(tmp_path):
    first = disc_sample(0, weight=2.5, group="landsat", about={"sensor": "x"})
    second = disc_sample(1, "validation", side=50, roles=("nir", "green"))
    path = save_samples([first, second], tmp_path / "s.npz", about=ABOUT)
    found, about = load_samples(path)
    assert about == ABOUT
    for before, after in zip((first, second), found, strict=True):
        assert np.array_equal(before.values, after.values)
        assert np.array_equal(before.label, after.label)
        for name in ("name", "roles", "gsd_m", "part", "group", "weight", "about", "shape"):
            assert getattr(before, name) == getattr(after, name), name
    again = save_samples(found, tmp_path / "t.npz", about=about)
    members = [{n: np.load(p)[n].tobytes() for n in np.load(p).files} for p in (path, again)]
    assert members[0] == members[1]


def test_values_are_as_near_as_16_bits_are(tmp_path):
    class Whole:
        """A source that reads 32 bits."""

        def __init__(self, sample):
            self._sample = sample
            self.values = np.random.default_rng(0).normal(0.5, 0.3, sample.values.shape)

        def __getattr__(self, name):
            return getattr(self._sample, name)

        def read(self, top, left, rows, columns):
            return self.values.astype(np.float32), self._sample.label

    source = Whole(disc_sample())
    found = load_source(source)
    assert found.values == pytest.approx(source.values, rel=2**-11, abs=1e-4)


def test_a_window_beyond_the_scene_is_zero_and_invalid():
    sample = disc_sample(side=40)
    values, label = sample.read(-10, 20, 60, 50)
    assert values.shape == (3, 60, 50)
    assert np.array_equal(label[10:50, :20], sample.label[:, 20:])
    assert np.array_equal(values[:, 10:50, :20], sample.values[:, :, 20:].astype(np.float32))
    outside = np.ones((60, 50), bool)
    outside[10:50, :20] = False
    assert (label[outside] == INVALID).all()
    assert (values[:, outside] == 0).all()
    values, label = sample.read(100, -90, 8, 8)
    assert (label == INVALID).all()
    assert not values.any()


@pytest.mark.parametrize("first", [-30, -8, -1, 0, 3, 9, 10, 40])
@pytest.mark.parametrize("count", [1, 8, 30])
def test_where_a_window_meets_a_scene(first, count):
    # Pixel by pixel: place k of the window is pixel first + k of the scene.
    (inner, _), (outer, _) = overlap((10, 1), first, 0, count, 1)
    mine = [(k, first + k) for k in range(count) if 0 <= first + k < 10]
    found = list(zip(range(*outer.indices(count)), range(*inner.indices(10)), strict=True))
    assert found == mine


def test_a_file_is_not_replaced_unless_asked(tmp_path):
    path = save_samples([disc_sample()], tmp_path / "s.npz", about=ABOUT)
    with pytest.raises(OutputError, match="exists already"):
        save_samples([disc_sample()], path, about=ABOUT)
    save_samples([disc_sample()], path, about=ABOUT, overwrite=True)
    with pytest.raises(SceneError, match=r"give it the ending \.npz"):
        save_samples([disc_sample()], tmp_path / "s.zip", about=ABOUT)
    assert [file.name for file in tmp_path.iterdir()] == ["s.npz"]


def card(**changes):
    entry = {"name": "a", "roles": ["green"], "gsd_m": 10, "part": "train", "group": "all",
             "weight": 1, "about": {}, **changes.pop("entry", {})}  # fmt: skip
    text = json.dumps({"format": "glacierx samples 1", "about": {}, "samples": [entry], **changes})
    return np.frombuffer(text.encode(), np.uint8)


class Bomb:
    def __reduce__(self):
        return print, ("it ran",)


def bad_files(folder):
    whole = save_samples([disc_sample()], folder / "whole.npz", about=ABOUT).read_bytes()
    values, label = np.zeros((1, 4, 4), np.float16), np.zeros((4, 4), np.uint8)

    def written(name, data=None, **arrays):
        path = folder / name
        if data is None:
            np.savez(path, **arrays)
        else:
            path.write_bytes(data)
        return path

    at = len(whole) // 2
    yield "cut", written("cut.npz", whole[:at])
    yield "flipped", written("flipped.npz", whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    yield "empty", written("empty.npz", b"")
    yield "pickle", written("pickle.npz", pickle.dumps(Bomb()))
    objects = np.array([Bomb()], dtype=object)
    yield "objects", written("objects.npz", card=card(), values_0=objects, label_0=label)
    with zipfile.ZipFile(folder / "other.npz", "w") as archive:
        archive.writestr("hello.txt", "hello")
    yield "zip", folder / "other.npz"
    np.save(folder / "plain.npy", values)
    yield "npy", (folder / "plain.npy").rename(folder / "plain.npz")
    good = {"values_0": values, "label_0": label}
    yield "format", written("format.npz", card=card(format="other"), **good)
    yield "list", written("list.npz", card=np.frombuffer(b"[]", np.uint8), **good)
    yield "type", written("type.npz", card=card(), values_0=values.astype("f8"), label_0=label)
    yield "shape", written("shape.npz", card=card(), values_0=values[:, :3], label_0=label)
    yield "missing", written("missing.npz", card=card(), values_0=values)
    yield "part", written("part.npz", card=card(entry={"part": "exam"}), **good)
    yield "weight", written("weight.npz", card=card(entry={"weight": "much"}), **good)


def test_other_and_damaged_files_are_refused_on_one_line_and_never_run(tmp_path, capsys):
    for name, path in bad_files(tmp_path):
        with pytest.raises(SceneError, match="is no sample file") as found:
            load_samples(path)
        assert "Make one with glacierx train --export" in str(found.value), name
        assert len(" ".join(str(found.value).split())) < 400, name
    assert "it ran" not in capsys.readouterr().out
    with pytest.raises(SceneError, match="does not exist"):
        load_samples(tmp_path / "none.npz")


def test_a_sample_is_a_value():
    with pytest.raises(AttributeError):
        disc_sample().name = "other"
    assert isinstance(load_source(disc_sample()), Sample)
