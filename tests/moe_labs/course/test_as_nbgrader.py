"""Marks are those of nbgrader's own autograde, where a submission lets it come to its end."""

import os
import subprocess
import sys

import pytest
from nbgrader.api import Gradebook
from toy_course import LAB, answered, cell_of, hand_in, make_course, released

from moe_labs.course.autograde import autograde
from moe_labs.course.sandbox import clean_environment, isolation_problem

SETTINGS = """
from nbgrader.plugins import LateSubmissionPlugin

class HalfAMark(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.5

c = get_config()
c.AssignLatePenalties.plugin_class = HalfAMark
"""


def entered(course):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {
            submission.student.id: [
                (grade.name, grade.auto_score, grade.needs_manual_grade)
                for notebook in submission.notebooks
                for grade in sorted(notebook.grades, key=lambda grade: grade.name)
            ]
            + [notebook.late_submission_penalty for notebook in submission.notebooks]
            for submission in gradebook.assignment_submissions(LAB)
        }


@pytest.mark.slow
def test_marks_are_nbgraders(tmp_path):
    course = make_course(tmp_path / "course")
    (course / "nbgrader_config.py").write_text(SETTINGS)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(LAB, duedate="2026-01-01")
    essay = answered(course)
    cell_of(essay, "why").source = "Because."
    hand_in(course, "right", essay)
    hand_in(course, "wrong", answered(course, softmax="def softmax(x):\n    return x"))
    hand_in(course, "blank", released(course))
    for student, day in (("right", "2026-02-01"), ("wrong", "2025-02-01")):
        (course / "submitted" / student / LAB / "timestamp.txt").write_text(f"{day} 10:00:00")
    autograde(course, LAB, isolation=isolation_problem() is None)
    ours = entered(course)
    assert ours["right"][-1] == 0.5
    command = [sys.executable, "-m", "nbgrader", "autograde", LAB, "--force"]
    environment = {**os.environ, **clean_environment()}
    subprocess.run(command, cwd=course, env=environment, check=True, capture_output=True)
    assert entered(course) == ours
