"""The notebook is found whatever its file is called, and its cells whatever an editor took away."""

import io
import json
import random
import zipfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from toy_course import LAB, RIGHT, answered, cell_of, hand_in, make_course, released

from moe_labs.course.collect import collect
from moe_labs.course.given import Given
from moe_labs.course.handed_in import COLLECTED, Unreadable
from moe_labs.course.limits import Limits
from moe_labs.course.restore import RestoreMarks
from moe_labs.course.submission import read_submission
from moe_labs.course.tampering import touches_the_judge

NAME = f"{LAB}.ipynb"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("submissions") / "course")


def found(course, student):
    given = {NAME: released(course)}
    return read_submission(course / "submitted" / student / LAB, given, Limits())


def written(course, student, files):
    for name, data in files.items():
        path = course / "submitted" / student / LAB / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def as_bytes(notebook, encoding="utf-8"):
    return json.dumps(notebook, ensure_ascii=False).encode(encoding)


@pytest.mark.parametrize(
    "name",
    [
        *("Ada Lovelace_123_assignsubmission_file_toy.ipynb", "toy (1).ipynb", "TOY.IPYNB"),
        *("toy.ipynb.txt", "toy.ipynb.json", "deep/er/toy.ipynb", "[/b] toy.ipynb", "toy.json"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "latin-1"])
def test_any_name_and_encoding_will_do(course, name, encoding):
    student = f"{abs(hash((name, encoding)))}"
    written(course, student, {name: as_bytes(answered(course), encoding)})
    notebooks, others, remarks = found(course, student)
    assert cell_of(notebooks[NAME], "softmax").source == RIGHT["softmax"]
    assert others == {}
    assert any("file renamed" in remark for remark in remarks)


def test_of_two_notebooks_the_labs_own_answered_one_is_graded(course):
    other = nbformat.v4.new_notebook(cells=[new_code_cell("1")])
    for student, files in {
        "wrong-and-right": {NAME: other, "mine.ipynb": answered(course)},
        "blank-and-answered": {NAME: released(course), "toy (1).ipynb": answered(course)},
    }.items():
        written(course, student, {name: as_bytes(nb) for name, nb in files.items()})
        notebooks, _, _ = found(course, student)
        assert cell_of(notebooks[NAME], "softmax").source == RIGHT["softmax"]
    written(
        course, "both", {NAME: as_bytes(answered(course)), "b.ipynb": as_bytes(answered(course))}
    )
    assert any(
        "several notebooks: toy.ipynb was graded" in remark for remark in found(course, "both")[2]
    )


def collected(course, student, *downloads):
    """Collect downloads, each a dictionary from a file as Canvas calls it to its content."""
    for files in downloads:
        with zipfile.ZipFile(course.parent / "download.zip", "w") as archive:
            for name, content in files.items():
                content = content if isinstance(content, bytes) else as_bytes(content)
                archive.writestr(f"{student}_{name}", content)
        collect(course, LAB, course.parent / "download.zip")


def in_a_zip(notebook):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("work/toy.ipynb", as_bytes(notebook))
    return data.getvalue()


def softmax_in(course, student):
    return cell_of(found(course, student)[0][NAME], "softmax").source


WRONG = "def softmax(x):\n    return x"


@pytest.mark.parametrize("later", ["7_9_toy.ipynb", "7_9_toy-1.ipynb", "7_9_a.ipynb", "7_9_a.zip"])
@pytest.mark.parametrize("earlier", ["7_8_toy.ipynb", "LATE_7_8_z.ipynb", "7_8_a.zip"])
@pytest.mark.parametrize("kind", ["the same cells", "an answer less", "a cell less"])
def test_what_was_handed_in_last_is_graded(course, earlier, later, kind):
    student = "".join(filter(str.isalnum, earlier + later + kind))
    first, second = answered(course, softmax=WRONG), answered(course)
    if kind == "an answer less":
        cell_of(second, "mixture").source = cell_of(released(course), "mixture").source
    elif kind == "a cell less":
        del second.cells[0]
    first, second = (
        {name: in_a_zip(notebook) if name.endswith("zip") else notebook}
        for name, notebook in ((earlier, first), (later, second))
    )
    collected(course, student, first, second)
    assert softmax_in(course, student) == RIGHT["softmax"]
    assert any("several notebooks" in remark for remark in found(course, student)[2])
    collected(course, student, first)
    assert softmax_in(course, student) == WRONG
    by_hand = answered(course, softmax=f"{WRONG} + 0")
    hand_in(course, student, by_hand, "mended.ipynb")
    assert softmax_in(course, student) == f"{WRONG} + 0"
    collected(course, student, second)
    assert softmax_in(course, student) == RIGHT["softmax"]


@pytest.mark.parametrize("scrap", ["a few cells", "damaged", "of another lab"])
def test_a_scrap_that_came_later_is_not_graded(course, scrap):
    later = nbformat.v4.new_notebook(cells=released(course).cells[:2])
    if scrap == "damaged":
        later = as_bytes(answered(course))[:-50]
    elif scrap == "of another lab":
        later = nbformat.v4.new_notebook(cells=[new_code_cell("1")])
    student = f"scrap{scrap.replace(' ', '')}"
    collected(course, student, {"7_8_toy.ipynb": answered(course)}, {"7_9_toy.ipynb": later})
    assert softmax_in(course, student) == RIGHT["softmax"]


def test_that_the_platform_calls_it_late_is_told(course):
    late = "handed in late, the platform says"
    collected(course, "late", {"LATE_7_8_toy.ipynb": answered(course), "LATE_7_9_data.csv": b""})
    _, others, remarks = found(course, "late")
    assert remarks[0].startswith(late)
    assert list(others) == ["data.csv"]
    collected(course, "late", {"LATE_7_8_toy.ipynb": answered(course, softmax=WRONG)})
    assert any(remark.startswith(late) for remark in found(course, "late")[2])
    collected(course, "late", {"7_8_toy.ipynb": answered(course)})
    assert not any(remark.startswith(late) for remark in found(course, "late")[2])


ODD = [
    *(b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"name": "", "number": null, "files": []}'),
    b'{"name": "", "number": null, "files": {}}',
    b'{"name": "a", "number": 3, "files": {}}',
    b'{"name": "a", "number": null, "files": {"toy.ipynb": {"collection": "1", "late": []}}}',
    b'{"name": "a", "number": null, "files": {"toy.ipynb": {"collection": 1e999, "late": true}}}',
    b'{"name": "ODD10", "number": null, "files": {"\\udc80": {"collection": 9, "late": true}}}',
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_any_note_of_what_was_collected_will_do(course, number):
    written(course, f"odd{number}", {NAME: as_bytes(answered(course)), COLLECTED: ODD[number]})
    assert softmax_in(course, f"odd{number}") == RIGHT["softmax"]
    collected(course, f"odd{number}", {"7_8_toy.ipynb": answered(course, softmax=WRONG)})
    assert softmax_in(course, f"odd{number}") == WRONG


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b"see mail"}, "file missing: expected toy.ipynb"),
        ({"a.zip": b"PK\3\4"}, "file missing: expected toy.ipynb; a.zip cannot be unpacked"),
        ({NAME: b"no notebook"}, "not a notebook: toy.ipynb"),
        ({NAME: b'{"cells": [{"cell_type": "code", "source": "1"}]}'}, "another notebook"),
    ],
)
def test_what_is_not_the_lab_is_told(course, files, message):
    student = "".join(files) + message[:8]
    written(course, student, files)
    with pytest.raises(Unreadable, match=message):
        found(course, student)


def test_files_beside_the_notebook_are_listed(course):
    written(course, "beside", {NAME: as_bytes(answered(course)), "numpy.py": b"", "data.csv": b"1"})
    _, others, remarks = found(course, "beside")
    assert sorted(others) == ["data.csv", "numpy.py"]
    assert "programs handed in beside the notebook: data.csv, numpy.py" in remarks


def restored(course, notebook):
    """A notebook after `RestoreMarks`, and its remarks."""
    notes = []
    about = {"db_url": f"sqlite:///{course / 'gradebook.db'}", "notebook": LAB, "assignment": LAB}
    mend = RestoreMarks(notes, released(course))
    notebook, _ = mend.preprocess(notebook, {"nbgrader": about})
    nbformat.validate(notebook)
    return notebook, notes


def grade_ids(notebook):
    return [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]


ORDER = ["setup", "softmax", "check-softmax", "mixture", "check-mixture", "why"]


def without_marks(notebook):
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return notebook


def with_new_ids(notebook):
    for number, cell in enumerate(notebook.cells):
        cell.id = f"new{number}"
    return notebook


@pytest.mark.parametrize(
    "strip",
    [without_marks, with_new_ids, lambda nb: with_new_ids(without_marks(nb))],
    ids=["no marks", "new ids", "neither"],
)
@pytest.mark.parametrize("answer", [RIGHT["softmax"], "softmax = lambda x: x", "def f(x):\n  x"])
def test_cells_are_known_by_id_text_or_place(course, strip, answer):
    notebook = answered(course, softmax=answer)
    cell_of(notebook, "why").source = "Because."
    notebook, _ = restored(course, strip(notebook))
    assert grade_ids(notebook) == ORDER
    assert cell_of(notebook, "softmax").source == answer
    assert cell_of(notebook, "mixture").source == RIGHT["mixture"]
    assert cell_of(notebook, "why").source == "Because."


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_done_to_the_cells_all_marks_are_there_once_and_in_order(course, seed):
    random_ = random.Random(seed)
    notebook = answered(course)
    kept = {name: cell_of(notebook, name).source for name in RIGHT}
    for _ in range(random_.randint(1, 6)):
        place = random_.randrange(len(notebook.cells) + 1)
        change = random_.choice(["delete", "insert", "strip", "unmark", "spaces"])
        if change == "insert":
            make = random_.choice([new_code_cell, new_markdown_cell])
            notebook.cells.insert(place, make(random_.choice(["", "x = 1", "text"])))
        elif place < len(notebook.cells):
            cell = notebook.cells[place]
            if change == "delete" and cell.source not in kept.values():
                del notebook.cells[place]
            elif change == "strip":
                cell.id = f"stripped{random_.random()}"[:12].replace(".", "")
            elif change == "unmark":
                cell.metadata = nbformat.from_dict({})
            elif change == "spaces" and cell.source not in kept.values():
                cell.source += "\n \n"
    notebook, notes = restored(course, notebook)
    assert grade_ids(notebook) == ORDER
    for name, source in kept.items():
        assert cell_of(notebook, name).source == source
    assert not any("changed test cells" in note for note in notes)


@pytest.mark.parametrize("gone", [["setup"], ["setup", "softmax"], ["check-softmax"], ORDER])
def test_deleted_cells_come_back_where_they_were(course, gone):
    notebook = answered(course)
    cells = [cell_of(notebook, name) for name in gone]
    notebook.cells = [cell for cell in notebook.cells if cell not in cells]
    notebook, notes = restored(course, notebook)
    assert grade_ids(notebook) == ORDER
    assert f"deleted cells: {', '.join(gone)}" in notes


def test_an_import_cell_without_marks_comes_back(course):
    given = released(course)
    given.cells.insert(1, new_code_cell("import math", id="imports"))
    notes = []
    about = {"db_url": f"sqlite:///{course / 'gradebook.db'}", "notebook": LAB, "assignment": LAB}
    notebook, _ = RestoreMarks(notes, given).preprocess(answered(course), {"nbgrader": about})
    assert [cell.source for cell in notebook.cells][1] == "import math"
    assert notes == ["deleted cells: imports"]


def test_given_cells_of_a_release_are_all_known(course):
    notebook = released(course)
    given = Given(notebook)
    assert given.places(notebook.cells) == given.keys
    assert given.answered_in(notebook) == 0
    assert given.answered_in(answered(course)) == len(RIGHT)


@pytest.mark.parametrize(
    "source",
    [
        *("checks.softmax.status = 'right'", "lab01.mixture._answer", "lab01 = fake"),
        *("np.allclose = lambda *a: True", "import gc", "get_ipython().run_cell = f"),
        *("lab01.mixture.require()", "from moe_labs.exercises.lab01 import mixture"),
        *("setattr(lab01.mixture, 'status', 'right')", "exec(b)", "lab01.mix.function(x)"),
    ],
)
def test_what_touches_the_judge_is_flagged(source):
    assert touches_the_judge(source)
    assert touches_the_judge(f"def f():\n    {source}")


@pytest.mark.parametrize(
    "source",
    [
        *("check = 3", "# lab01.mixture.status = 'right'", "'lab01.mixture.require()'", "!ls"),
        *("get_ipython().system('ls')", "lab01.mixture.hint()", "m = lab01.mixture.check(m)"),
        *("self.status = 1", "model.trainable = False", "def broken(", "%matplotlib inline"),
        *("from moe_labs.exercises import lab01, summary", "status = lab01", "x.check()"),
    ],
)
def test_honest_code_is_not(source):
    assert not touches_the_judge(source)


def test_the_gradebook_is_as_it_was(course):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.students == []


def test_a_notebook_that_is_handed_in_as_it_should_be_has_no_remark(course):
    hand_in(course, "plain", answered(course))
    assert found(course, "plain")[1:] == ({}, [])
