import nbformat
import pytest
from nbgrader.api import Gradebook
from toy_course import LAB, OUT_OF, answered, cell_of, hand_in, make_course, released

from moe_keras.course.autograde import autograde
from moe_keras.course.limits import Limits


def test_limits_are_above_zero():
    with pytest.raises(ValueError, match=r"above 0. Received: \{'memory_mb': 0\}"):
        Limits(memory_mb=0)


def test_an_unknown_assignment_is_named_with_those_there_are(tmp_path):
    (tmp_path / "source" / "lab").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"lab\. Received: other"):
        autograde(tmp_path, "other")


def test_what_is_missing_is_said(tmp_path):
    course = tmp_path / "course"
    (course / "source" / LAB).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"submitted/STUDENT/toy"):
        autograde(course, LAB)
    (course / "submitted" / "ada" / LAB).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"submitted/bob/toy"):
        autograde(course, LAB, ["bob"])
    with pytest.raises(ValueError, match="nbgrader generate_assignment toy"):
        autograde(course, LAB)


@pytest.mark.slow
def test_grading_again_keeps_what_was_marked_by_hand(tmp_path):
    course = make_course(tmp_path / "course")
    notebook = answered(course)
    cell_of(notebook, "why").source = "Because."
    hand_in(course, "ada", notebook)
    hand_in(course, "bob", released(course))
    told = []
    (ada,) = autograde(course, LAB, ["ada"], on_result=lambda *what: told.append(what))
    assert (ada.marks, ada.out_of, ada.by_hand, ada.notes) == (OUT_OF, OUT_OF, 1, ())
    assert told == [(ada, 1)]
    url = f"sqlite:///{course / 'gradebook.db'}"
    with Gradebook(url) as gradebook:
        grade = gradebook.find_grade("why", LAB, LAB, "ada")
        grade.manual_score, grade.needs_manual_grade = 2, False
        gradebook.db.commit()
    autograde(course, LAB, ["ada"])
    with Gradebook(url) as gradebook:
        assert gradebook.find_submission(LAB, "ada").score == OUT_OF + 2
        assert [student.id for student in gradebook.students] == ["ada"]
    executed = nbformat.read(course / "autograded" / "ada" / LAB / f"{LAB}.ipynb", 4)
    assert (
        cell_of(executed, "check-mixture").outputs[0].text.startswith('Exercise "mixture": right')
    )
