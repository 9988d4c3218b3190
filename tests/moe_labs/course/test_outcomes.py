from pathlib import Path

import pytest

from moe_labs.course.outcomes import Task, outcomes_of, outcomes_page, tasks_of
from moe_labs.notebooks.catalogue import find_labs

ROOT = Path(__file__).parents[3]


def test_each_outcome_has_its_tasks_with_check_and_marks(lab):
    assert outcomes_of(lab) == [
        ("add two numbers", [Task("add", "lab01.add", 2)]),
        ("say why", [Task("why", None, 3)]),
    ]


def test_a_lab_that_does_not_say_has_all_its_tasks_in_one(write_lab, source):
    start, end = source.index("#     serves"), source.index("#     variant")
    lab = write_lab(source[:start] + source[end:])
    ((outcome, tasks),) = outcomes_of(lab)
    assert outcome == "add two numbers; say why"
    assert tasks == tasks_of(lab)


@pytest.mark.parametrize("wrong", ["[add, why]", "[]", "[other]", "[add]\n#       - [add]"])
def test_a_task_without_its_outcome_is_refused(write_lab, source, wrong):
    lab = write_lab(source.replace("[why]", wrong))
    with pytest.raises(ValueError, match="serves"):
        outcomes_of(lab)


def test_the_page_is_up_to_date():
    page = outcomes_page(find_labs(ROOT / "notebooks"))
    stored = ROOT / "docs" / "guides" / "outcomes.md"
    assert stored.read_text("utf-8") == page, "Make it anew: make outcomes"


def test_the_marks_of_the_page_are_those_of_the_checks():
    import importlib

    for lab in find_labs(ROOT / "notebooks"):
        for task in tasks_of(lab):
            if task.check:
                module, _, name = task.check.partition(".")
                exercise = getattr(importlib.import_module(f"moe_labs.exercises.{module}"), name)
                assert exercise.marks == task.marks
