import os
import stat

import pytest

from moe_common.files import replacing, write_text


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


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def usual():
    """What the umask leaves a new file, set to what most systems have."""
    before = os.umask(0o022)
    yield 0o644
    os.umask(before)


MODES = [0o600, 0o640, 0o644, 0o664, 0o400]
ONLY_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")


@ONLY_POSIX
@pytest.mark.parametrize("old", MODES, ids=oct)
@pytest.mark.parametrize("asked", [None, 0o600, 0o664])
def test_an_old_files_permissions_stay(tmp_path, usual, old, asked):
    path = tmp_path / "marks.csv"
    path.write_text("old")
    path.chmod(old)
    write_text(path, "new", asked)
    assert (path.read_text(), mode_of(path)) == ("new", old)


@ONLY_POSIX
def test_a_new_file_has_those_asked_for_or_the_usual_ones(tmp_path, usual):
    for name, asked, expected in (("a", None, usual), ("b", 0o600, 0o600), ("c", 0o664, 0o664)):
        write_text(tmp_path / name, "new", asked)
        assert mode_of(tmp_path / name) == expected


@ONLY_POSIX
def test_what_shall_be_private_is_so_before_it_is_written(tmp_path, usual):
    with replacing(tmp_path / "marks.csv", 0o600) as temporary:
        assert mode_of(temporary) == 0o600
        temporary.write_text("secret")
        assert mode_of(temporary) == 0o600


def test_a_disk_without_permissions_is_written_to(tmp_path, monkeypatch):
    def refuse(*what, **how):
        raise PermissionError("not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    write_text(tmp_path / "marks.csv", "new", 0o664)
    assert (tmp_path / "marks.csv").read_text() == "new"
