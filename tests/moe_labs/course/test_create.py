import os
import subprocess
import sys
from unittest import mock

import nbformat
import pytest
from nbgrader.api import Gradebook
from toy_course import LAB, OUT_OF, answered, hand_in, lab

from moe_labs.course.assignment import course_directory
from moe_labs.course.create import create_course
from moe_labs.course.sandbox import clean_environment
from moe_labs.notebooks.catalogue import installed_labs
from moe_labs.notebooks.generate import solution_copy, student_copy


def nbgrader(course, *arguments):
    command = [sys.executable, "-m", "nbgrader", *arguments]
    environment = {**os.environ, **clean_environment()}
    subprocess.run(command, cwd=course, env=environment, check=True, capture_output=True)


def test_every_lab_is_an_assignment_with_its_solutions_and_marks(tmp_path):
    course = create_course(tmp_path / "course")
    labs = installed_labs()
    assert sorted(path.name for path in (course / "source").iterdir()) == [
        each.slug for each in labs
    ]
    for each in labs:
        notebook = course / "source" / each.slug / f"{each.slug}.ipynb"
        assert notebook.read_text() == nbformat.writes(solution_copy(each)) + "\n"
    assert "moe-keras[labs,spark]==" in (course / "requirements.txt").read_text()
    assert labs[0].slug in (course / "README.md").read_text()


def test_a_course_grades_by_a_word_of_its_own(tmp_path):
    words = []
    for name in ("one", "other"):
        course = create_course(tmp_path / name, ["2"])
        with mock.patch.dict(os.environ):  # to which the settings add
            os.environ.pop("MOE_KERAS_GRADING", None)
            course_directory(course)
            words.append(os.environ["MOE_KERAS_GRADING"])
    assert len(set(words)) == 2 and min(map(len, words)) == 16


def test_labs_can_be_chosen(tmp_path):
    course = create_course(tmp_path, ["2"])
    assert [path.name[:2] for path in (course / "source").iterdir()] == ["02"]


def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="an empty one"):
        create_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_what_nbgrader_hands_out_is_the_students_copy(tmp_path):
    course = create_course(tmp_path / "course", ["01"])
    (first,) = installed_labs(["01"])
    nbgrader(course, "generate_assignment", first.slug)
    released = nbformat.read(course / "release" / first.slug / f"{first.slug}.ipynb", 4)
    ours = student_copy(first)
    assert [cell.source for cell in released.cells] == [cell.source for cell in ours.cells]
    checksums = [
        [cell.metadata.get("nbgrader", {}).get("checksum") for cell in copy.cells]
        for copy in (released, ours)
    ]
    assert checksums[0] == checksums[1]


@pytest.mark.slow
def test_nbgraders_own_commands_work_on_it(tmp_path):
    course = create_course(tmp_path / "course", ["01"])
    (course / "source" / LAB).mkdir()
    nbformat.write(lab(), course / "source" / LAB / f"{LAB}.ipynb")
    nbgrader(course, "generate_assignment", LAB)
    hand_in(course, "ada", answered(course))
    nbgrader(course, "autograde", LAB)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission(LAB, "ada").score == OUT_OF
    nbgrader(course, "generate_feedback", LAB)
    assert "mixture" in (course / "feedback" / "ada" / LAB / f"{LAB}.html").read_text()
