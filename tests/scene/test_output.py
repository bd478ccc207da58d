import os

import numpy as np
import pytest

from glacierx.errors import OutputError
from glacierx.scene.output import check_output, check_outputs, staged


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "out.txt"
    with staged(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["out.txt"]


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(ValueError, match="stop"), staged(tmp_path / "out.txt") as part:
        part.write_text("half")
        raise ValueError("stop")
    assert names(tmp_path) == []


def test_an_existing_file_survives_a_failure(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"), staged(path, overwrite=True) as part:
        part.write_text("half")
        raise ValueError("stop")
    assert path.read_text() == "old"


def test_files_beside_it_come_along_and_folders_do_not(tmp_path):
    with staged(tmp_path / "out.shp") as part:
        part.write_text("shp")
        part.with_suffix(".dbf").write_text("dbf")
        (part.parent / "work").mkdir()
    assert names(tmp_path) == ["out.dbf", "out.shp"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.write_text("old"), r"exists already\. Use --overwrite"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_what_is_there_is_not_touched(tmp_path, prepare, message):
    path = tmp_path / "out.txt"
    prepare(path)
    with pytest.raises(OutputError, match=message), staged(path):
        pytest.fail("the block must not run")
    with pytest.raises(OutputError, match=message):
        check_output(path)


def test_an_input_is_never_an_output(tmp_path):
    path = tmp_path / "in.tif"
    path.write_text("data")
    link = tmp_path / "link.tif"
    link.symlink_to(path)
    for target in (path, link):
        with (
            pytest.raises(OutputError, match="is an input"),
            staged(target, overwrite=True, inputs=[path, "https://x.org/a.tif"]),
        ):
            pytest.fail("the block must not run")


def test_what_is_no_ordinary_file_is_left_alone(tmp_path):
    path = tmp_path / "pipe.tif"
    os.mkfifo(path)
    with pytest.raises(OutputError, match="no ordinary file"), staged(path, overwrite=True):
        pytest.fail("the block must not run")
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("name", "beside"),
    [("o.shp", "o.dbf"), ("o.shp", "o.qix"), ("o.tif", "o.tif.msk"), ("o.gpkg", "o.gpkg-wal")],
)
def test_files_that_readers_take_along_count_as_the_result(tmp_path, name, beside):
    (tmp_path / beside).write_text("of another")
    with pytest.raises(OutputError, match=f"{beside} exists already"), staged(tmp_path / name):
        pytest.fail("the block must not run")
    with staged(tmp_path / name, overwrite=True) as part:
        part.write_text("new")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("length", [200, 240])
def test_long_names_are_written(tmp_path, length):
    name = "ü" * (length // 2 - 4) + ".txt"
    with staged(tmp_path / name) as part:
        part.write_text("whole")
    assert names(tmp_path) == [name]


def test_a_name_that_no_disk_takes_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="is too long"):
        check_output(tmp_path / ("a" * 300 + ".tif"))


def test_no_result_is_part_of_another(tmp_path):
    for one, other in (("q.shp", "q.dbf"), ("p.tif", "p.tif.msk"), ("a.json", "a.json")):
        with pytest.raises(OutputError, match="belongs to another result"):
            check_outputs([tmp_path / one, tmp_path / other])


def test_no_two_results_are_one_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    check_outputs([tmp_path / "a.tif", None, tmp_path / "b.tif"])
    with pytest.raises(OutputError, match="asked for twice"):
        check_outputs([tmp_path / "a.tif", tmp_path / "link" / "a.tif"])


@pytest.mark.parametrize("name", ["a**b.txt", "[1] ?.txt", "ü #%.txt"])
def test_names_are_not_patterns(tmp_path, name):
    other = tmp_path / ".a1b.txt.999999999.part"
    other.mkdir()
    with staged(tmp_path / name) as part:
        part.write_text("whole")
    assert names(tmp_path) == sorted([other.name, name])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="does not exist"), staged(tmp_path / "no" / "out.txt"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"), staged(tmp_path / "out.txt"):
        pytest.fail("the block must not run")
    tmp_path.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), staged(tmp_path / "file" / "out.txt"):
        pytest.fail("the block must not run")


def test_litter_of_a_dead_process_is_cleared(tmp_path):
    litter = tmp_path / ".out.txt.999999999.part"
    litter.mkdir()
    (litter / "out.txt").write_text("half")
    alive = tmp_path / f".out.txt.{os.getppid()}.part"
    alive.mkdir()
    with staged(tmp_path / "out.txt") as part:
        part.write_text("whole")
    assert names(tmp_path) == [alive.name, "out.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="was not written"), staged(tmp_path / "out.txt"):
        pass


def test_a_result_replaces_nothing_that_an_input_is_made_of(tmp_path):
    from factories import utm_grid, write_tif
    from rasterio.shutil import copy

    source = write_tif(tmp_path / "s.tif", np.ones((1, 20, 20), "uint8"), utm_grid((20, 20)))
    copy(str(source), str(tmp_path / "v.vrt"), driver="VRT")
    with pytest.raises(OutputError, match="is an input"):
        check_output(source, overwrite=True, inputs=[tmp_path / "v.vrt"])
    check_output(source, overwrite=True, inputs=[tmp_path / "other.tif"])
