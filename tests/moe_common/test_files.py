import pytest

from moe_common.files import write_text


def test_folders_are_made_and_lines_end_as_given(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "é\n")
    assert path.read_bytes() == b"\xc3\xa9\n"


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
