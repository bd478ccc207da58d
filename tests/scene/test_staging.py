import os

import pytest

from glacierx.errors import OutputError
from glacierx.scene.staging import staged


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
