"""Yearly variants: the same for a seed, and their solutions pass the checks."""

import jupytext
import numpy as np
import pytest

from moe_labs.course.header import header
from moe_labs.course.variant import make_variant, vary
from moe_labs.exercises import lab01
from moe_labs.notebooks.catalogue import find_labs, installed_labs
from moe_labs.notebooks.generate import drift
from moe_labs.notebooks.source import written_out

SEEDS = (2026, 2027, 2028)


@pytest.fixture(autouse=True)
def usual_order():
    yield
    lab01.number_groups("natural", "artificial")


def body(text):
    return text[text.index("# %%") :]


def test_pieces_are_replaced_together_in_code_and_text(lab):
    for seed in range(8):
        text, chosen = vary(lab, seed)
        number, made = chosen["numbers"]
        assert number in ("SEED = 7", "SEED = 8")
        assert made == {"SEED = 7": "2 and 2 make 4", "SEED = 8": "3 and 2 make 5"}[number]
        assert f"# From second to first. {made}." in text
        assert f"\n{number}\n" in text
        assert "SEED = 0" not in body(text)


def test_a_seed_gives_one_variant_and_seeds_differ(lab, tmp_path):
    for name in ("a", "b"):
        make_variant([lab], 5, tmp_path / name)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert (
                path.read_bytes()
                == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
            )
    assert len({vary(lab, seed)[0] for seed in range(8)}) == 2


def test_a_variant_is_a_folder_of_labs(lab, tmp_path):
    make_variant([lab], 5, tmp_path / "variant")
    (made,) = find_labs(tmp_path / "variant" / "notebooks")
    assert made.slug == lab.slug
    assert "total_of_both" not in made.student_copy.read_text()
    assert drift(made) == ["solutions/01_sums.ipynb: its cells are not those of the source."]
    with pytest.raises(FileExistsError):
        make_variant([lab], 5, tmp_path / "variant")


def test_pieces_may_change_places_and_count_as_wholes(write_lab, source):
    changed = source.replace(
        '["first to second", "second to first"]', "[[first, second], [second, first]]"
    ).replace("From first to second.", "From first to second, to seconds.")
    text, _ = vary(write_lab(changed), 1)
    assert "From second to first, to seconds." in text


def test_marks_of_cells_stay(write_lab, source):
    changed = source.replace('["first to second", "second to first"]', "[total_of_both, grade_id]")
    text, _ = vary(write_lab(changed), 1)
    marks = [line for line in source.splitlines() if line.startswith("# %%")]
    assert [line for line in text.splitlines() if line.startswith("# %%")] == marks
    assert "total_of_both" not in body(text)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ('["third", "second"]', "does not occur"),
        ('["first to second"]', "two rows"),
        ("[[From, first], [second]]", "same length"),
        ("[first, 2]", "texts"),
        ("[[first, first], [a, b]]", "each piece once"),
        ('["SEED = 0", "SEED = 1"]', "each piece once"),
        ('["add", "other"]', None),
        ("[grade_id, other]", "does not occur"),  # it stands in marks alone
    ],
)
def test_a_wrong_declaration_is_refused_and_nothing_written(
    write_lab, source, tmp_path, wrong, says
):
    lab = write_lab(source.replace('["first to second", "second to first"]', wrong))
    if says is None:
        vary(lab, 1)
        return
    with pytest.raises(ValueError, match=says):
        make_variant([lab], 1, tmp_path / "variant")
    assert not (tmp_path / "variant").exists()


def cells_of(text):
    return jupytext.reads(text, fmt="py:percent").cells


def is_answer(cell):
    return cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lab", installed_labs(), ids=lambda lab: lab.slug)
def test_answers_that_a_variant_changes_pass_its_checks(lab, seed, capsys):
    """The others are those of the source; the lab's start, up to its first text, is run too."""
    text, _ = vary(lab, seed)
    usual = {cell.source for cell in cells_of(written_out(lab))}
    cells = cells_of(text)
    changed = [cell for cell in cells if is_answer(cell) and cell.source not in usual]
    if lab.number == "01":
        assert [cell.metadata.nbgrader.grade_id for cell in changed] == ["to_group", "hard_switch"]
    if not changed:
        return
    names = {}
    exec(next(cell.source for cell in cells if "import keras\n" in cell.source), names)
    for cell in changed:
        exec(cell.source, names)
        # With its hidden test, which raises an error unless it is right.
        exec(cells[cells.index(cell) + 1].source, names)
        assert "right. (" in capsys.readouterr().out


def test_the_checks_of_lab_01_know_the_order_of_the_groups(capsys):
    labels = np.arange(10)
    lab01.number_groups("artificial", "natural")
    natural_first = lambda labels: np.isin(labels, (0, 1, 8, 9)).astype(int)  # noqa: E731
    artificial_first = lambda labels: 1 - natural_first(labels)  # noqa: E731
    lab01.to_group.check(artificial_first)
    assert lab01.to_group.is_right
    reference = lab01.to_group.check(natural_first)
    assert "artificial must be 0" in capsys.readouterr().out
    assert (reference(labels) == artificial_first(labels)).all()
    gate, natural, artificial = np.float32([[0.9, 0.1], [0.2, 0.8]]), np.zeros((2, 3)), np.ones(3)
    switch = lab01.hard_switch.reference()
    np.testing.assert_array_equal(switch(gate, natural, artificial)[:, 0], [1, 0])
    lab01.hard_switch.check(switch)
    assert lab01.hard_switch.is_right
    lab01.number_groups("natural", "artificial")
    lab01.hard_switch.check(switch)
    assert "column 0 of the gate is natural" in capsys.readouterr().out
    with pytest.raises(ValueError, match="both groups"):
        lab01.number_groups("natural", "frogs")


def test_labs_with_shipped_experts_keep_their_groups():
    for lab in installed_labs(["02", "03"]):
        assert not {"groups", "polarity", "halves"} & set(header(lab).get("variant", {}))
