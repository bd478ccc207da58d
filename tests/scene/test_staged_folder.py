import pytest

from glacierx.errors import OutputError
from glacierx.scene.staging import staged_folder


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_folder_appears_with_all_its_files(tmp_path):
    with staged_folder(tmp_path / "x") as part:
        (part / "a.txt").write_text("a")
        (part / "b.txt").write_text("b")
        assert not (tmp_path / "x").exists()
        assert part.name == "x"
    assert names(tmp_path / "x") == ["a.txt", "b.txt"]
    assert names(tmp_path) == ["x"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "x") as part:
        (part / "a.txt").write_text("a")
        raise RuntimeError
    assert names(tmp_path) == []


def test_an_error_leaves_an_older_result(tmp_path):
    with staged_folder(tmp_path / "x") as part:
        (part / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "x", overwrite=True) as part:
        (part / "a.txt").write_text("new")
        raise RuntimeError
    assert (tmp_path / "x" / "a.txt").read_text() == "old"


def test_a_folder_that_holds_files_is_written_into_only_if_asked(tmp_path):
    (tmp_path / "x").mkdir()
    for name in ("kept.txt", "x-old.txt", "x-new.txt"):
        (tmp_path / "x" / name).write_text("old")
    with pytest.raises(OutputError, match=r"holds files already\. Use --overwrite"):
        staged_folder(tmp_path / "x").__enter__()
    # What an older result left goes; what is not of one stays.
    with staged_folder(
        tmp_path / "x", overwrite=True, ours=lambda name: name.startswith("x-")
    ) as part:
        (part / "x-new.txt").write_text("new")
    assert names(tmp_path / "x") == ["kept.txt", "x-new.txt"]
    assert (tmp_path / "x" / "x-new.txt").read_text() == "new"
    assert (tmp_path / "x" / "kept.txt").read_text() == "old"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "x").mkdir()
    with staged_folder(tmp_path / "x") as part:
        (part / "a.txt").write_text("a")
    assert names(tmp_path / "x") == ["a.txt"]


def test_what_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path / "file", "is a file. Give the name of a folder"),
        (tmp_path / "none" / "x", "does not exist"),
    ):
        with pytest.raises(OutputError, match=message):
            staged_folder(path).__enter__()
    with pytest.raises(OutputError, match="was not written"), staged_folder(tmp_path / "x"):
        pass


def test_of_two_that_write_one_folder_the_second_is_refused(tmp_path):
    with staged_folder(tmp_path / "x") as part:
        with pytest.raises(OutputError, match="Another run is writing"):
            staged_folder(tmp_path / "x").__enter__()
        (part / "a.txt").write_text("a")
    assert names(tmp_path) == ["x"]
