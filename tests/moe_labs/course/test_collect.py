"""A platform's download is sorted by student; nothing in it is lost or leads elsewhere."""

import io
import itertools
import json
import os
import random
import unicodedata
import warnings
import zipfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from moe_labs.course import collect as collecting
from moe_labs.course import shelf, unpack
from moe_labs.course.collect import collect
from moe_labs.course.handed_in import COLLECTED, MOST_FILES, moment
from moe_labs.course.platforms import whose

BOBS = ("Bob_2_assignsubmission_file_/lab.ipynb", "right")


def zipped(files, compression=zipfile.ZIP_STORED):
    """A zip file of a dictionary, or of pairs where a name may come several times."""
    data = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(data, "w", compression) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of such names
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return data.getvalue()


def a_course(tmp_path):
    (tmp_path / "course" / "source" / "lab").mkdir(parents=True, exist_ok=True)
    return tmp_path / "course"


def collected(tmp_path, files, **more):
    """What was taken from a zip file of these files."""
    download = tmp_path / "download.zip"
    download.write_bytes(zipped(files, zipfile.ZIP_DEFLATED))
    return collect(a_course(tmp_path), "lab", download, **more)


def there(tmp_path):
    """From a student to a dictionary from a path to the bytes that were collected."""
    found = {}
    for folder in sorted((tmp_path / "course" / "submitted").glob("*/lab")):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        found[folder.parent.name] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in files
            if path.name != COLLECTED
        }
    return found


def contents(found):
    return sorted(content for files in found.values() for content in files.values())


@pytest.mark.parametrize(
    ("name", "student", "file"),
    [
        ("Ada Lovelace_123_assignsubmission_file_/lab.ipynb", "Ada Lovelace", "lab.ipynb"),
        ("Ada Lovelace_123_assignsubmission_file_lab.ipynb", "Ada Lovelace", "lab.ipynb"),
        ("Ana_B_7_assignsubmission_file_/deep/lab.ipynb", "Ana_B", "deep/lab.ipynb"),
        ("Ada_7_assignsubmission_file_/work.zip", "Ada", "work.zip"),
        ("Ada_7_assignsubmission_file_", "Ada", "Ada_7_assignsubmission_file_"),
        ("lovelaceada_123_456_lab.ipynb", "lovelaceada", "lab.ipynb"),
        ("lovelaceada_LATE_123_456_lab-1.ipynb", "lovelaceada", "lab-1.ipynb"),
        ("lovelaceada_123_456_work.zip/lab.ipynb", "lovelaceada", "lab.ipynb"),
        ("LATE_anon_x7Gf2_456_lab.ipynb", "anon_x7Gf2", "lab.ipynb"),
        ("course.zip/ada/lab.ipynb", "ada", "lab.ipynb"),
        ("ada/lab.ipynb", "ada", "lab.ipynb"),
        ("Ada [A]\nB/lab (1).ipynb", "Ada -A--B", "lab (1).ipynb"),
        ("lab.ipynb", None, "lab.ipynb"),
        ("work.zip", None, "work.zip"),
    ],
)
def test_whose_a_file_is(name, student, file):
    assert whose(name) == (student, file)


ADAS = [
    *("ada", "ada_1_assignsubmission_file_", "ada_1_2_work.zip", "ada_LATE_1_2_work.ZIP"),
    *("ada_1_assignsubmission_file_work.zip", "course.zip/ada", "course.zip/ada_1_2_work.zip"),
]
OTHERS = ["bobsmith", "bobsmith_1_2_work.zip", "Bob_2_assignsubmission_file_", "work.zip", ".."]
LAST = ["lab.ipynb", "bobsmith_1_2_lab.ipynb", "Bob_2_assignsubmission_file_lab.ipynb"]


@pytest.mark.parametrize("outermost", ADAS)
def test_the_outermost_part_decides_whatever_is_in_it(outermost):
    for depth in range(3):
        for parts in itertools.product(*[OTHERS] * depth, LAST):
            assert whose("/".join([outermost, *parts]))[0] == "ada"


def nested(path, content):
    """A file where the path says, each part that is called so a zip file."""
    parts = path.split("/")
    for number, part in enumerate(parts[:-1], 1):
        if part.lower().endswith(".zip"):
            inner = nested("/".join(parts[number:]), content)
            return {"/".join(parts[:number]): zipped(inner)}
    return {path: content}


@pytest.mark.parametrize("inner", [*LAST, "bobsmith/lab.ipynb", "Bob_2_assignsubmission_file_/x"])
@pytest.mark.parametrize("outer", [*ADAS[1:], "ada/work.zip"])
def test_nobody_hands_in_under_anothers_name(tmp_path, outer, inner):
    collected(tmp_path, nested(f"{outer}/{inner}", "mine"))
    assert list(there(tmp_path)) == ["ada"]
    assert list(there(tmp_path)["ada"].values()) == [b"mine"]


LONG = "x" * 60
TWO = {
    "two numbers": ["Ada_1_assignsubmission_file_/lab", "Ada_2_assignsubmission_file_/lab"],
    "blind": [
        "Participant_1_assignsubmission_file_/lab",
        "Participant_2_assignsubmission_file_/lab",
    ],
    "anonymous": ["anon_aaaaa_7_lab", "anon_AAAAA_8_lab"],
    "two of Canvas": ["lovelaceada_1_7_lab", "lovelaceada_LATE_2_8_lab"],
    "long": [f"{LONG}a_1_assignsubmission_file_/lab", f"{LONG}b_2_assignsubmission_file_/lab"],
    "long, one number": [f"{LONG}a_1_assignsubmission_file_/lab", f"{LONG}b_1_9_lab"],
    "long folders": [f"{LONG}a/lab", f"{LONG}b/lab"],
    "letters": ["Ada/lab", "ada/lab"],
    "letters and numbers": ["Ada_1_assignsubmission_file_/lab", "ADA_2_assignsubmission_file_/lab"],
    "forms": [unicodedata.normalize(form, "Zoë") + "/lab" for form in ("NFC", "NFD")],
    "forbidden": ["a:b/lab", "a?b/lab"],
    "of that name already": ["Ada-1/lab", "Ada_1_assignsubmission_file_/lab"],
    "ends": ["Ada./lab", "Ada/lab"],
    "three": [
        *("Ada_1_assignsubmission_file_/lab", "Ada_2_assignsubmission_file_/lab", "Ada-1/lab"),
        *("ada-2/lab", "Ada_11111111111111111111_assignsubmission_file_/lab"),
        "Ada_211111111111111111111_assignsubmission_file_/lab",
    ],
}


@pytest.mark.parametrize("names", TWO.values(), ids=TWO)
def test_students_of_one_name_are_kept_apart(tmp_path, names):
    folder = tmp_path / "download"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    taken = collect(a_course(tmp_path), "lab", folder)
    found = there(tmp_path)
    assert sorted(each.student for each in taken) == sorted(found)
    assert contents(found) == sorted(name.encode() for name in names)
    folded = {unicodedata.normalize("NFC", name).casefold() for name in found}
    assert len(folded) == len(found) == len(names)
    assert all(len(name) <= 50 for name in found)
    collect(a_course(tmp_path), "lab", folder)
    assert there(tmp_path) == found


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kind", ["two numbers", "blind", "two of Canvas", "letters and numbers"])
def test_so_they_are_in_several_downloads(tmp_path, kind, order):
    for name in TWO[kind][::order]:
        collected(tmp_path, {name: name})
    found = there(tmp_path)
    assert contents(found) == sorted(name.encode() for name in TWO[kind])
    assert len(found) == 2
    collected(tmp_path, {name: name for name in TWO[kind]})
    assert there(tmp_path) == found


def test_one_student_is_one_in_every_download_and_lab(tmp_path):
    course = a_course(tmp_path)
    (course / "source" / "lab2").mkdir()
    (course / "submitted" / "Ada" / "lab2").mkdir(parents=True)
    names = ["Ada_1_assignsubmission_file_/lab", "Ada_1_assignsubmission_onlinetext_/x", "ada/more"]
    for name in names:  # Moodle's numbers are another in each lab, so a folder has none
        collected(tmp_path, {name: name})
    assert list(there(tmp_path)) == ["Ada"]
    assert len(there(tmp_path)["Ada"]) == 3
    # In Canvas they are not, so that a folder with a number is found again.
    (course / "submitted" / "lovelaceada-7").mkdir()
    collected(tmp_path, {"lovelaceada_7_8_lab": ""})
    assert list(there(tmp_path)) == ["Ada", "lovelaceada-7"]
    (taken,) = collected(tmp_path, {"Participant_5_assignsubmission_file_/lab": ""})
    assert taken.student == "Participant-5"


def test_a_zip_of_zips_and_again(tmp_path):
    course = a_course(tmp_path)
    files = {
        "Ada_1_assignsubmission_file_/lab.ipynb": "1",
        "Bob_2_assignsubmission_file_/work.zip": zipped({"x/lab.ipynb": "2"}),
        "lonely.ipynb": "3",
        "__MACOSX/._lab.ipynb": "4",
    }
    taken = collected(tmp_path, files)
    assert there(tmp_path) == {"Ada": {"lab.ipynb": b"1"}, "Bob": {"x/lab.ipynb": b"2"}}
    assert (course / "not-understood" / "lab" / "lonely.ipynb").read_text() == "3"
    assert len(taken) == 3
    (again,) = collected(tmp_path, {"Ada_1_assignsubmission_file_/lab.ipynb": "later"})
    assert (again.file, again.remark) == ("lab (2).ipynb", "there was another lab.ipynb")
    assert there(tmp_path)["Ada"] == {"lab.ipynb": b"1", "lab (2).ipynb": b"later"}


def note(tmp_path, student):
    """From a file to the collection that it came in last, and whether it was late."""
    path = tmp_path / "course" / "submitted" / student / "lab" / COLLECTED
    return {
        file: (entry["collection"], entry["late"])
        for file, entry in json.loads(path.read_text())["files"].items()
    }


def test_which_came_last_is_noted_and_nothing_changes_where_nothing_is_new(tmp_path):
    by_hand = tmp_path / "course" / "submitted" / "ada" / "lab" / "mail.txt"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("")
    for _ in range(2):
        collected(tmp_path, {"ada_1_2_lab.ipynb": "1", "ada_1_3_data": ""})
        assert note(tmp_path, "ada") == {
            "mail.txt": (0, False), "lab.ipynb": (1, False), "data": (1, False)
        }  # fmt: skip
    written = {path: path.stat().st_mtime_ns for path in by_hand.parent.iterdir()}
    collected(tmp_path, {"ada_1_2_lab.ipynb": "1", "ada_1_3_data": ""})
    # Else `autograde --resume` would grade it again.
    assert written == {path: path.stat().st_mtime_ns for path in by_hand.parent.iterdir()}
    collected(tmp_path, {"ada_LATE_1_4_lab.ipynb": "2", "ada_LATE_1_3_data": ""})
    assert note(tmp_path, "ada")["lab (2).ipynb"] == note(tmp_path, "ada")["data"] == (2, True)
    collected(tmp_path, {"ada_1_2_lab.ipynb": "1"})
    assert note(tmp_path, "ada")["lab.ipynb"] == (3, False)


@pytest.mark.parametrize("name", ["timestamp.txt", "Timestamp.TXT", "timestamp.txt.", COLLECTED])
@pytest.mark.parametrize("where", ["ada/", "ada_1_2_", "ada_1_assignsubmission_file_/", "zip"])
def test_a_student_writes_neither_when_it_came_nor_what_was_collected(tmp_path, where, name):
    said = (
        '{"name": "bob", "number": "2", "files": {"lab.ipynb": {"collection": 9, "late": false}}}'
    )
    files = {f"{where}{name}": said, f"{where}{name}/x": said}
    if where == "zip":
        files = {"ada_1_2_work.zip": zipped({name: said, f"a.zip/{name}": said})}
    taken = collected(tmp_path, files)
    assert moment(tmp_path / "course" / "submitted" / "ada" / "lab" / "timestamp.txt")[0] is None
    assert all(file.startswith("handed in") for file in there(tmp_path)["ada"])
    assert all("is the lecturer's to write" in each.remark for each in taken)
    assert set(note(tmp_path, "ada")) == set(there(tmp_path)["ada"])


def shifted(data, place, by):
    return data[:place] + bytes([(data[place] + by) % 256]) + data[place + 1 :]


def field(data, signature, offset, value):
    """The zip file with other bytes in each header that begins so."""
    data, place = bytearray(data), data.find(signature)
    while place >= 0:
        data[place + offset : place + offset + len(value)] = value
        place = data.find(signature, place + 1)
    return bytes(data)


def damaged():
    """Zip files, each with a fault of another kind: a name and bytes."""
    kinds = {
        "stored": zipfile.ZIP_STORED,
        "deflated": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }
    for kind, compression in kinds.items():
        good = zipped({"lab.ipynb": "right " * 100, "é.txt": "more"}, compression)
        for method in (99, 14, 12, 8):
            changed = field(good, b"PK\1\2", 10, bytes([method, 0]))
            yield f"{kind} as {method}", field(changed, b"PK\3\4", 8, bytes([method, 0]))
        for length in range(0, len(good), 41):
            yield f"{kind} {length} long", good[:length]
        for place in range(0, len(good), 13):
            yield f"{kind} at {place}", shifted(good, place, 1 + place % 255)
        encrypted = field(field(good, b"PK\1\2", 8, b"\1\0"), b"PK\3\4", 6, b"\1\0")
        yield f"{kind} encrypted", encrypted
        utf8 = field(field(good, b"PK\1\2", 8, b"\0\10"), b"PK\3\4", 6, b"\0\10")
        yield f"{kind} no UTF-8", utf8.replace("é".encode(), b"\xff\xfe")
    for parts in (21, 950, 20_000):
        yield f"{parts} deep", zipped({"a/" * parts + "lab.ipynb": "1"})
    yield "long names", zipped({f"{'é' * 60}/" * 15 + "lab.ipynb": "1", "é" * 5000: "2"})
    yield "a file that is a folder", zipped({"a": "1", "a/b": "2", "a/b/c": "3", "a (2)": "4"})
    yield "nothing", zipped({})
    yield "dots", zipped({"...": "1", ". ": "2", " ": "3", "/": "", "//x": "4", "C:/x": "5"})
    yield "in another", zipped({"inner.zip": zipped({"lab": "1" * 99}, zipfile.ZIP_LZMA)[:-40]})


DAMAGED = dict(damaged())


@pytest.mark.parametrize("where", ["Ada_1_assignsubmission_file_/work.zip", "work.zip", "folder"])
def test_what_is_wrong_with_one_zip_stops_nobody_else(tmp_path, where):
    for number, (kind, data) in enumerate(DAMAGED.items()):
        here = tmp_path / str(number)
        here.mkdir()
        if where == "folder":
            for name, content in (BOBS, ("Ada/work.zip", data)):
                (here / "folder" / name).parent.mkdir(parents=True)
                (here / "folder" / name).write_bytes(
                    content if isinstance(content, bytes) else content.encode()
                )
            taken = collect(a_course(here), "lab", here / "folder")
        else:
            taken = collected(here, dict([BOBS, (where, data)]))
        assert there(here)["Bob"] == {"lab.ipynb": b"right"}, kind
        adas = [each for each in taken if each.student != "Bob"]
        assert adas, kind
        assert all(each.file or each.remark for each in adas), kind
        if there(here).get("Ada", {}).get("work.zip") == data:
            assert any(each.file == "work.zip" and each.remark for each in adas), kind


@pytest.mark.parametrize("kind", ["a disk that is full", "a place that is taken", "any other"])
def test_what_cannot_be_written_is_told(tmp_path, monkeypatch, kind):
    if kind == "a place that is taken":
        (tmp_path / "course" / "submitted").mkdir(parents=True)
        (tmp_path / "course" / "submitted" / "ada").write_text("")
    else:
        error = OSError("No space left") if "disk" in kind else RecursionError("too deep")
        replacing = shelf.replacing

        def failing(path):
            if "ada" in path.parts:
                raise error
            return replacing(path)

        monkeypatch.setattr(shelf, "replacing", failing)
    taken = collected(tmp_path, dict([BOBS, ("ada/lab.ipynb", "1")]))
    assert there(tmp_path)["Bob"] == {"lab.ipynb": b"right"}
    assert [each.remark[:17] for each in taken if each.student == "ada"] == ["cannot be written"]


def packages(files=MOST_FILES + 1):
    """What a folder of installed packages is like: too many files."""
    return {f".venv/lib/p{number}.py": "" for number in range(files)}


def bombs():
    """More than 1 MB: as it is, in zip files in zip files, and where nothing says how much."""
    zeros = bytes(2_000_000)
    inner = zipped({"zeros": zeros}, zipfile.ZIP_DEFLATED)
    # A zip file may begin with anything: what is unpacked from it is little, and it is much itself.
    heavy = bytes(2_000_000) + zipped({"x": "1"})
    return {
        "plain": {"zeros": zeros},
        "many": {f"zeros{number}": bytes(300_000) for number in range(5)},
        "in another": {"a.zip": zipped({"b.zip": inner}, zipfile.ZIP_DEFLATED)},
        "heavy": {"a.zip": heavy},
        "bzip2": {"a.zip": zipped({"zeros": zeros}, zipfile.ZIP_BZIP2)},
        "lzma": {"a.zip": zipped({"zeros": zeros}, zipfile.ZIP_LZMA)},
        "packages": packages(),
    }


@pytest.mark.parametrize("kind", bombs())
def test_one_students_bomb_stays_closed_and_the_others_files_come(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(collecting, "UNPACKED_MB", 1)
    bomb = zipped(bombs()[kind], zipfile.ZIP_DEFLATED)
    before = "Ada_1_assignsubmission_file_/"
    files = {f"{before}work.zip": bomb, f"{before}lab.ipynb": "mine"}
    work = {f"Carl_3_assignsubmission_file_/{n}.zip": zipped({f"{n}": "x"}) for n in "ab"}
    taken = collected(tmp_path, dict([BOBS]) | files | work)
    assert there(tmp_path) == {
        "Ada": {"lab.ipynb": b"mine", "work.zip": bomb},
        "Bob": {"lab.ipynb": b"right"},
        "Carl": {"a": b"x", "b": b"x"},
    }
    (told,) = [each for each in taken if each.remark]
    assert told.file == "work.zip"
    assert "kept unopened, as there is more than 1 MB or 10000 files of one" in told.remark


def test_many_bombs_of_one_are_tried_once(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "UNPACKED_MB", 1)
    opened = []
    inside = unpack.members
    monkeypatch.setattr(unpack, "members", lambda file: opened.append(file) or inside(file))
    bomb = zipped(bombs()["plain"], zipfile.ZIP_DEFLATED)
    taken = collected(tmp_path, {f"ada/{number}.zip": bomb for number in range(20)})
    assert len(opened) == 1
    assert len(there(tmp_path)["ada"]) == 20
    assert all("kept unopened" in each.remark for each in taken)


def test_in_a_folder_what_lies_deep_is_left_out_first(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "MOST_FILES", 100)
    folder = tmp_path / "download"
    for name in [*(f"ada/{name}" for name in packages(101)), "ada/lab.ipynb", "bob/lab.ipynb"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "ada" / "link").symlink_to(folder / "bob")
    os.mkfifo(folder / "ada" / "pipe")
    taken = collect(a_course(tmp_path), "lab", folder)
    found = there(tmp_path)
    assert list(found["bob"]) == ["lab.ipynb"]
    assert "lab.ipynb" in found["ada"]
    assert len(found["ada"]) == 100
    (told,) = [each for each in taken if each.student and each.remark]
    assert "left out, with 1 others, as there is more than" in told.remark
    assert {each.name for each in taken if not each.student} == {"ada/link", "ada/pipe"}


def test_what_one_student_alone_hands_in_beyond_the_limit_is_told(tmp_path):
    files = dict([BOBS]) | {"ada/lab.ipynb": bytes(3_000_000), "ada/x": "1"}
    taken = collected(tmp_path, files, limit_mb=1)
    assert there(tmp_path) == {"Bob": {"lab.ipynb": b"right"}, "ada": {"x": b"1"}}
    (told,) = [each for each in taken if each.remark]
    assert (told.name, told.file) == ("ada/lab.ipynb", "")
    assert "--limit" in told.remark


def test_the_limit_for_all_keeps_zip_files_closed(tmp_path):
    files = {f"{n}/w.zip": zipped({"x": bytes(700_000)}, zipfile.ZIP_DEFLATED) for n in "abc"}
    taken = collected(tmp_path, files, limit_mb=1)
    assert [list(each) for each in there(tmp_path).values()] == [["x"], ["w.zip"], ["w.zip"]]
    assert ["--limit" in each.remark for each in taken] == [False, True, True]


def test_files_of_one_name_are_counted_and_not_compared_each_with_each(tmp_path, monkeypatch):
    looked, number = [], 200
    lexists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: looked.append(path) or lexists(path))
    same = [("lab.ipynb", f"{n}") for n in range(number)]
    below = [("a", f"{n}") for n in range(number)] + [(f"a/{n}", "") for n in range(number)]
    for attempt in range(2):
        looked.clear()
        work = zipped([*same, *below])
        collected(tmp_path, {"ada/work.zip": work})
        assert len(there(tmp_path)["ada"]) == 3 * number
        assert len(looked) < 5 * number, attempt


@pytest.mark.parametrize("data", [b"", b"no zip", zipped({"ada/lab": "1"})[:-30]])
def test_a_download_that_is_no_zip_file_is_refused(tmp_path, data):
    (tmp_path / "download.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"Expected a zip file\. Received: .*download\.zip"):
        collect(a_course(tmp_path), "lab", tmp_path / "download.zip")
    assert not (tmp_path / "course" / "submitted").exists()


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
    written = [path for path in written if path.name != COLLECTED]
    assert len(taken) == len(members)
    assert len(written) + sum(not each.file for each in taken) == len(members)
    assert all(each.remark for each in taken if not each.file)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NAME.filter(bool), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_as_many_students_as_there_are_names_and_numbers(tmp_path_factory, names, chance):
    folder = tmp_path_factory.mktemp("any")
    no_path = dict.fromkeys(map(ord, "/\\:"))
    forms = [str.upper, str.lower, lambda name: unicodedata.normalize("NFD", name), str]
    names = {
        f"n{chance.choice(forms)(name).translate(no_path)}x_{chance.randint(1, 3)}"
        for name in [*names, *names]
    }
    collected(folder, {f"{name}_assignsubmission_file_/lab": name for name in sorted(names)})
    found = there(folder)
    assert contents(found) == sorted(name.encode() for name in names)
    folded = {unicodedata.normalize("NFC", name).casefold() for name in found}
    assert len(folded) == len(found) == len(names)


def test_any_byte_of_a_zip_may_be_wrong(tmp_path):
    draw = random.Random(0)
    files = {f"{n}.ipynb": draw.randbytes(20) * 20 for n in range(3)}
    for number in range(60):
        data = zipped(files, draw.choice([0, 8, 12, 14]))
        for _ in range(draw.randint(1, 4)):
            data = shifted(data, draw.randrange(len(data)), draw.randint(1, 255))
        (tmp_path / f"{number}").mkdir()
        collected(tmp_path / f"{number}", dict([BOBS, ("ada/work.zip", data)]))
        assert there(tmp_path / f"{number}")["Bob"] == {"lab.ipynb": b"right"}
