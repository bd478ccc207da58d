import numpy as np
import pytest

from glacierx.errors import OutputError
from glacierx.scene.output import check_output, check_outputs
from glacierx.scene.staging import staged


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
        with pytest.raises(OutputError, match="is an input"):
            check_output(target, overwrite=True, inputs=[path, "https://x.org/a.tif"])


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


def test_a_result_replaces_nothing_that_an_input_is_made_of(tmp_path):
    from factories import utm_grid, write_tif
    from rasterio.shutil import copy

    source = write_tif(tmp_path / "s.tif", np.ones((1, 20, 20), "uint8"), utm_grid((20, 20)))
    copy(str(source), str(tmp_path / "v.vrt"), driver="VRT")
    with pytest.raises(OutputError, match="is an input"):
        check_output(source, overwrite=True, inputs=[tmp_path / "v.vrt"])
    check_output(source, overwrite=True, inputs=[tmp_path / "other.tif"])
