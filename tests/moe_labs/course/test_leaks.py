"""Each kind of leak, planted in files that are fit to be handed out, is found."""

import io
import json
import zipfile

import pytest

from moe_labs.course import release as release_module
from moe_labs.course.leaks import find_leaks
from moe_labs.course.release import student_files
from moe_labs.notebooks.catalogue import installed_labs

NOTEBOOK, README = "moe_keras-labs/notebooks/01_sums.ipynb", "moe_keras-labs/README.md"


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """Students have something to install."""
    monkeypatch.setattr(release_module, "repository", lambda root: "https://example.org/moe")


@pytest.fixture
def files(lab):
    return student_files([lab])


def edited(files, edit):
    notebook = json.loads(files[NOTEBOOK])
    edit(notebook["cells"])
    return files | {NOTEBOOK: json.dumps(notebook).encode()}


def cell(cells, grade_id):
    return next(c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def write(grade_id, text):
    def edit(cells):
        cell(cells, grade_id)["source"].append(text)

    return edit


def replace(grade_id, text):
    def edit(cells):
        cell(cells, grade_id)["source"] = [text]

    return edit


def in_metadata(cells):
    cells[0]["metadata"]["note"] = "total_of_both = a + b"


def output(cells):
    cells[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1"]}]


def counted(cells):
    cells[1]["execution_count"] = 3


def attached(cells):
    cells[0]["attachments"] = {"a.png": {"image/png": "aGVsbG8="}}


def test_what_is_handed_out_holds_none(lab, files):
    assert find_leaks([lab], files) == []


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (write("add", "\n### END SOLUTION"), "marker"),
        (write("check-add", "\n### BEGIN HIDDEN TESTS"), "marker"),
        (write("add", "\n# begin solution"), "marker"),
        (write("add", "\n    return total_of_both"), "solution or of a hidden test"),
        (write("add", "\n# total_of_both=a+b"), "solution or of a hidden test"),
        (write("add", "\n    total_of_both = (\n    a + b"), None),  # rewritten: cannot be known
        (write("add", "\n    total_of_both = \\\n        a + b"), None),
        (write("add", "\n    unit = [1, 2,\n    3]  # open to students"), "hidden test"),
        (write("check-add", "\nassert add(-10, 10) == 0"), "hidden test"),
        (write("why", "\nBecause one and one are two, and so on."), "hidden test"),
        (in_metadata, "total_of_both"),
        (replace("add", "def add(a, b):\n    return b + a"), "without its stub"),
        (replace("why", "Two."), "without its stub"),
        (output, "output"),
        (counted, "execution"),
        (attached, "attachment"),
    ],
)
def test_a_leak_in_a_notebook_is_found(lab, files, edit, says):
    found = find_leaks([lab], edited(files, edit))
    if says is None:
        assert found == []
    else:
        assert any(says in sentence for sentence in found), found


def test_a_leak_in_another_file_is_found(lab, files):
    for text in ("return total_of_both", "### BEGIN SOLUTION"):
        assert find_leaks([lab], files | {README: text.encode()})


def test_files_that_do_not_belong_are_found(lab, files):
    for name in ("01_sums.py", "solutions/02_other.ipynb", "gradebook.db", "more.zip"):
        assert any(name in sentence for sentence in find_leaks([lab], files | {name: b"{}"}))


def test_a_solution_notebook_is_found(lab, files):
    from moe_labs.course.release import solution_files

    (solved,) = solution_files([lab]).values()
    assert find_leaks([lab], files | {NOTEBOOK: solved})


def test_a_wheel_with_the_sources_is_found(lab, files):
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("moe_labs/notebooks/source/01_sums.py", "")
    (sentence,) = find_leaks([lab], files | {"moe_keras-1-py3-none-any.whl": wheel.getvalue()})
    assert "source/01_sums.py" in sentence


@pytest.mark.parametrize("lab", installed_labs(), ids=lambda lab: lab.slug)
def test_every_line_of_a_solution_of_the_course_is_known_again(lab):
    """Planted one by one, as comments, in each lab as it is handed out."""
    from moe_labs.course.leaks import _secrets

    files = student_files([lab])
    assert find_leaks([lab], files) == []
    lines, _ = _secrets(lab)
    assert lines
    name = f"moe_keras-labs/notebooks/{lab.slug}.ipynb"
    notebook = json.loads(files[name])
    notebook["cells"][0]["source"] = [f"# {line}\n" for line in lines]
    found = find_leaks([lab], files | {name: json.dumps(notebook).encode()})
    assert all(any(repr(line) in sentence for sentence in found) for line in lines)
