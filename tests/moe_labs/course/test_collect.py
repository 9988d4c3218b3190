"""A platform's download is sorted by student; nothing in it is lost or leads elsewhere."""

import io
import zipfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from moe_labs.course.collect import collect, whose


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def a_course(tmp_path):
    (tmp_path / "course" / "source" / "lab").mkdir(parents=True, exist_ok=True)
    return tmp_path / "course"


@pytest.mark.parametrize(
    ("name", "student", "file"),
    [
        ("Ada Lovelace_123_assignsubmission_file_/lab.ipynb", "Ada Lovelace", "lab.ipynb"),
        ("Ada Lovelace_123_assignsubmission_file_lab.ipynb", "Ada Lovelace", "lab.ipynb"),
        ("Ana_B_7_assignsubmission_file_/deep/lab.ipynb", "Ana_B", "deep/lab.ipynb"),
        ("lovelaceada_123_456_lab.ipynb", "lovelaceada", "lab.ipynb"),
        ("lovelaceada_LATE_123_456_lab-1.ipynb", "lovelaceada", "lab-1.ipynb"),
        ("lovelaceada_123_456_work.zip/lab.ipynb", "lovelaceada", "lab.ipynb"),
        ("course.zip/ada/lab.ipynb", "ada", "lab.ipynb"),
        ("ada/lab.ipynb", "ada", "lab.ipynb"),
        ("Ada [A]\nB/lab (1).ipynb", "Ada -A--B", "lab (1).ipynb"),
        ("lab.ipynb", None, "lab.ipynb"),
    ],
)
def test_whose_a_file_is(name, student, file):
    assert whose(name) == (student, file)


def test_a_zip_of_zips_and_again(tmp_path):
    course, download = a_course(tmp_path), tmp_path / "download.zip"
    files = {
        "Ada_1_assignsubmission_file_/lab.ipynb": "1",
        "Bob_2_assignsubmission_file_/work.zip": zipped({"x/lab.ipynb": "2"}),
        "lonely.ipynb": "3",
        "__MACOSX/._lab.ipynb": "4",
    }
    download.write_bytes(zipped(files))
    taken = collect(course, "lab", download)
    assert (course / "submitted" / "Ada" / "lab" / "lab.ipynb").read_text() == "1"
    assert (course / "submitted" / "Bob" / "lab" / "x" / "lab.ipynb").read_text() == "2"
    assert (course / "not-understood" / "lab" / "lonely.ipynb").read_text() == "3"
    assert len(taken) == 3
    download.write_bytes(zipped({"Ada_1_assignsubmission_file_/lab.ipynb": "later"}))
    (again,) = collect(course, "lab", download)
    assert (again.file, again.remark) == ("lab (2).ipynb", "there was another lab.ipynb")
    assert (course / "submitted" / "Ada" / "lab" / "lab.ipynb").read_text() == "1"


def test_a_bomb_is_refused_and_nothing_written(tmp_path):
    course, download = a_course(tmp_path), tmp_path / "download.zip"
    with zipfile.ZipFile(download, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada/lab.ipynb", bytes(3_000_000))
    with pytest.raises(ValueError, match="--limit"):
        collect(course, "lab", download, limit_mb=1)
    assert not (course / "submitted").exists()


NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
PATH = st.lists(NAME | st.sampled_from(["..", ".", "/", "C:", "a_1_assignsubmission_file_"]))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PATH.map("/".join).filter(bool), max_size=4, unique=True))
def test_no_name_leads_elsewhere_and_none_is_lost(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("any")
    course, download = a_course(folder), folder / "download.zip"
    download.write_bytes(zipped({name: f"{n}" for n, name in enumerate(names)}))
    with zipfile.ZipFile(download) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    taken = collect(course, "lab", download)
    written = [path for path in folder.rglob("*") if path.is_file() and path != download]
    assert all(Path(course) in path.parents for path in written)
    assert len(taken) == len(members)
    assert len(written) + sum("leads elsewhere" in each.remark for each in taken) == len(members)
