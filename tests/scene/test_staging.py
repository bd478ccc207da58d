import os
import subprocess
import sys
from pathlib import Path

import pytest

from glacierx.errors import OutputError
from glacierx.scene.staging import abandon, staged


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
    other = tmp_path / ".a1b.txt.part"
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
    litter = tmp_path / ".out.txt.part" / "new"
    litter.mkdir(parents=True)
    (litter / "out.txt").write_text("half")
    (litter.parent / "lock").touch()
    with staged(tmp_path / "out.txt") as part:
        assert list(part.parent.iterdir()) == []
        part.write_text("whole")
    assert names(tmp_path) == ["out.txt"]


def test_of_two_at_once_the_second_is_refused(tmp_path):
    path = tmp_path / "out.txt"
    with staged(path) as part:
        part.write_text("first")
        with pytest.raises(OutputError, match=r"Another run is writing .*out\.txt\. Wait"):
            with staged(path):
                pytest.fail("the block must not run")
        with staged(tmp_path / "other.txt") as other:
            other.write_text("another file is free")
    assert path.read_text() == "first"
    assert names(tmp_path) == ["other.txt", "out.txt"]


def test_what_another_finished_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    """Between the first look and the lock another process can have come and gone."""
    path = tmp_path / "out.txt"
    made = Path.mkdir

    def mkdir(folder, *args, **kwargs):
        path.write_text("of another")
        made(folder, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OutputError, match="exists already"), staged(path):
        pytest.fail("the block must not run")
    assert path.read_text() == "of another"
    assert names(tmp_path) == ["out.txt"]


RACE = """
import sys, time
from glacierx.errors import OutputError
from glacierx.scene.staging import staged
path, own = sys.argv[1:]
won = 0
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        with staged(path, overwrite=True) as part:
            for _ in range(20):  # a second writer would show in between
                with part.open("a") as file:
                    file.write(own)
            assert part.read_text() == own * 20, part.read_text()
            won += 1
    except OutputError as error:
        assert "Another run is writing" in str(error), error
print(won)
"""


def test_processes_that_race_never_mix(tmp_path):
    path = tmp_path / "out.txt"
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, path, own], stdout=subprocess.PIPE, text=True)
        for own in "abc"
    ]
    won = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sum(won) > 1
    assert path.read_text() in {own * 20 for own in "abc"}
    assert names(tmp_path) == ["out.txt"]


def test_what_belongs_to_the_old_file_goes_before_the_new_one_comes(tmp_path, monkeypatch):
    """A journal of the old database would be rolled back into the new one."""
    path = tmp_path / "o.gpkg"
    path.write_text("old")
    (tmp_path / "o.gpkg-journal").write_text("of the old one")
    replaced = Path.replace

    def replace(file, target):
        assert not (tmp_path / "o.gpkg-journal").exists()
        return replaced(file, target)

    monkeypatch.setattr(Path, "replace", replace)
    with staged(path, overwrite=True) as part:
        part.write_text("new")
    assert names(tmp_path) == ["o.gpkg"]


def test_a_process_about_to_end_abandons_what_it_writes(tmp_path):
    with pytest.raises(OutputError, match="was not written"):
        with staged(tmp_path / "out.txt") as part:
            part.write_text("half")
            abandon()
            assert names(tmp_path) == []
            part.parent.mkdir(parents=True)


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="was not written"), staged(tmp_path / "out.txt"):
        pass
