"""Marks are decided where a student's code never comes: only values cross."""

import contextlib
import os
import threading

import hypothesis.strategies as st
import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from nbformat.v4 import new_code_cell
from toy_course import LAB, RIGHT, answered, lab, make_course

from moe_labs.course.answers import Answers, CannotCross, Channel, Ended, decode, encode
from moe_labs.course.closure import closure
from moe_labs.course.judge import judged_apart
from moe_labs.course.judging import RemoteAnswer, judge
from moe_labs.course.limits import Limits
from moe_labs.course.sandbox import Sandbox, isolation_problem
from moe_labs.course.statements import statements

KINDS = st.sampled_from(["<f4", "<f8", "<i8", "|b1", "|u1", "<c16", "<U3", ">f4"])
ARRAY = KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0)))
SIMPLE = st.none() | st.booleans() | st.floats() | st.text() | st.binary() | st.integers(-9, 9)
VALUES = st.recursive(
    SIMPLE | ARRAY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_values_come_through_as_they_were(value):
    import json

    came = decode(json.loads(json.dumps(encode(value))))
    assert type(came) is type(value)
    np.testing.assert_equal(came, value)


class Liar(np.ndarray):
    """An array that says that it equals whatever it is compared with."""

    def __eq__(self, other):
        return np.ones(self.shape, bool)

    def __array__(self, *how):
        return self


@pytest.mark.parametrize("value", [np.array([{}]), object(), lambda: 1, 2**80, {"a": [print]}])
def test_what_is_no_plain_value_does_not_cross(value):
    with pytest.raises(CannotCross):
        encode(value)


def test_an_array_that_lies_arrives_as_a_plain_one():
    came = decode(encode(np.arange(3).view(Liar)))
    assert type(came) is np.ndarray
    assert (came == 7).tolist() == [False] * 3


@pytest.mark.parametrize(
    "message", [{"array": ["|O", [1], "AAAAAAAAAAA="]}, {"function": "f"}, {"other": 1}]
)
def test_what_is_made_up_is_refused(message):
    with pytest.raises((ValueError, TypeError)):
        decode(message)


@contextlib.contextmanager
def another_process():
    """A channel to `Answers`, which runs in a thread here: the pipes are real."""
    (to_there, from_here), (to_here, from_there) = os.pipe(), os.pipe()
    here, there = Channel(to_here, from_here), Channel(to_there, from_there)

    def serve():
        with contextlib.suppress(Ended):
            Answers(there).serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield here
    finally:
        here.outgoing.close()
        thread.join(60)
        here.incoming.close()
        with contextlib.suppress(OSError):
            there.outgoing.close()
        there.incoming.close()


class Lines(list):
    """Where verdicts are written."""

    write, flush = list.append, lambda self: None


def verdicts_of(notebook, marks):
    """What the toy lab's tests say of a notebook's answers; marks are those of the notebook."""
    import json

    from moe_labs.course import judge as module

    exercises = module.exercises_of(lab(), notebook)
    for exercise in exercises:
        exercise["wrong"] = not marks[exercise["id"]]
    order = {"setup": module._setup(lab(), exercises), "exercises": exercises}
    order["answers"] = module._answers(notebook, exercises)
    lines = Lines()
    with another_process() as channel:
        judge(order, channel, lines)
    return {said["id"]: said["verdict"][0] for said in map(json.loads, lines)}


BOTH = {"check-softmax": 1, "check-mixture": 1}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("judged") / "course")


@pytest.mark.parametrize(
    "softmax",
    [
        RIGHT["softmax"],
        "softmax = lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)",
        "def softmax(x):\n    import math\n    return [[a / sum(r) for a in r] for r in np.exp(x)]",
        "K = 1\ndef helper(x):\n    return np.exp(x) * K\n"
        "class Softmax:\n    def __call__(self, x):\n        e = helper(x)\n"
        "        return e / e.sum(axis=-1, keepdims=True)\nsoftmax = Softmax()",
    ],
)
def test_right_answers_are_right_apart_as_well(course, softmax):
    assert verdicts_of(answered(course, softmax=softmax), BOTH) == dict.fromkeys(BOTH, "right")


def test_definitions_in_other_cells_are_found(course):
    notebook = answered(course, softmax="softmax = shared")
    notebook.cells.insert(
        2,
        new_code_cell("def shared(x):\n    e = power(x)\n    return e / e.sum(-1, keepdims=True)"),
    )
    notebook.cells.insert(
        2, new_code_cell("%time\nfrom numpy import exp as power\nprint(open('/x'))")
    )
    assert verdicts_of(notebook, BOTH) == dict.fromkeys(BOTH, "right")


THROUGH = "def softmax(x):\n    e = T['e'](x)\n    return e / e.sum(-1, keepdims=True)"


@pytest.mark.parametrize(
    "softmax",
    [
        *(f"%%time\n{RIGHT['softmax']}", f"%%capture\n{RIGHT['softmax']}"),
        *(f"%%time\n%%capture out\n{RIGHT['softmax']}", f"%time T = {{'e': np.exp}}\n{THROUGH}"),
        *(f"T = {{}}\nT['e'] = np.exp\n{THROUGH}", f"T = {{}}\nT.update(e=np.exp)\n{THROUGH}"),
        f"T = {{}}\nfor name, f in [('e', np.exp)]:\n    T[name] = f\n{THROUGH}",
        f"T = {{}}\nfor name, f in [('e', np.exp)]: T.update({{name: f}})\n{THROUGH}",
        f"class Table(dict): pass\nT = Table()\nT.x = np.exp\nT['e'] = T.x\n{THROUGH}",
        "from numpy import *\ndef softmax(x):\n    return exp(x) / exp(x).sum(-1, keepdims=True)",
        "try:\n    import numpy as n\nexcept ImportError:\n    n = None\n"
        "def softmax(x):\n    return n.exp(x) / n.exp(x).sum(-1, keepdims=True)",
        f"ONE = {'+'.join(['1'] * 600)} - 599\n{RIGHT['softmax']} * ONE",
        "def sum(x):\n    return x.sum(-1, keepdims=True)\n"
        "def softmax(x):\n    return np.exp(x) / sum(np.exp(x))",
    ],
)
def test_whatever_an_answer_needs_it_is_right_apart_as_well(course, softmax):
    assert verdicts_of(answered(course, softmax=softmax), BOTH) == dict.fromkeys(BOTH, "right")


WRONG = "def softmax(x):\n    return x"


@pytest.mark.parametrize(
    ("cell", "softmax"),
    [
        ("checks.softmax.require = lambda: None", WRONG),
        ("import numpy as np\nnp.isclose = lambda *a, **k: np.array(True)", WRONG),
        ("get_ipython().run_cell = print", WRONG),
        ("import gc", "softmax = checks.softmax"),
        ("reference = checks.softmax.function", "def softmax(x):\n    return reference(x)"),
        ("", "import moe_labs.exercises.exercise\ndef softmax(x):\n    return checks.softmax(x)"),
        ("class A(np.ndarray):\n    __array__ = lambda s, *a: s", "softmax = lambda x: x.view(A)"),
        ("", "def softmax(x):\n    raise SystemExit"),
        ("", "softmax = 3"),
    ],
)
def test_what_changes_the_judge_in_its_notebook_changes_nothing_here(course, cell, softmax):
    notebook = answered(course, softmax=softmax)
    notebook.cells.insert(2, new_code_cell(cell))
    assert verdicts_of(notebook, BOTH) == {"check-softmax": "wrong", "check-mixture": "right"}


def test_an_answer_may_build_on_one_that_was_wrong(course):
    mixture = "def mixture(w, o):\n    return w @ o + 0 * np.sum(softmax(o))\n"
    mixture += "    \nassert callable(mixture)"
    notebook = answered(course, softmax=WRONG.replace("return x", "return None"), mixture=mixture)
    assert verdicts_of(notebook, BOTH | {"check-softmax": 0}) == {"check-mixture": "right"}


@pytest.mark.parametrize(
    ("cells", "wanted", "expected"),
    [
        (["import a, moe_labs.x", "b = a.c"], ["b"], ["import a", "b = a.c"]),
        (["from moe_labs.exercises import lab01"], ["lab01"], []),
        (
            ["def f():\n    return g()", "g = 1", "h = 2"],
            ["f"],
            ["def f():\n    return g()", "g = 1"],
        ),
        (["x = 1", "x += 1", "del x"], ["x"], ["x = 1", "x += 1"]),
        (["f = g", "g = f"], ["f"], ["f = g", "g = f"]),
        (["broken(", "f = 1"], ["f"], ["f = 1"]),
    ],
)
def test_what_a_name_needs(cells, wanted, expected):
    assert closure(list(map(statements, cells)), wanted) == expected


@pytest.mark.slow
def test_in_real_processes(course, tmp_path):
    sandbox = Sandbox(tmp_path / "box", isolation_problem() is None, Limits(cell_seconds=20))
    hangs = "def softmax(x):\n    import os\n    os._exit(0)"
    for softmax, verdict in ((RIGHT["softmax"], "right"), (hangs, "wrong")):
        notebook = answered(course, softmax=softmax)
        found = judged_apart(lab(), notebook, sandbox)
        assert {name: kind for name, (kind, _) in found.items()} == {
            "check-softmax": verdict,
            "check-mixture": "right",
        }


def test_the_lab_as_released_needs_no_second_judgement(course, tmp_path):
    notebook = nbformat.read(course / "release" / LAB / f"{LAB}.ipynb", 4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    assert judged_apart(lab(), notebook, Sandbox(tmp_path / "box", False, Limits())) == {}


@pytest.mark.slow
def test_exercises_on_tensors_cross_with_their_gradients():
    """Every exercise that takes arrays and tensors alone; `mix` and `second_level` for certain."""
    pytest.importorskip("tensorflow")
    from moe_labs.exercises import lab02, lab04, lab05

    sources = {
        "mix": "from keras import ops\ndef mix(logits, outputs):\n"
        "    weights = ops.softmax(logits)\n"
        "    return ops.sum(weights[..., None] * outputs, axis=1)",
        "second_level": "from keras import ops\ndef second_level(logits):\n"
        "    return ops.softmax(logits, axis=-1)",
        "route": "from keras import ops\ndef route(logits, k):\n"
        "    best, indices = ops.top_k(ops.softmax(logits), k)\n"
        "    return indices, best if k == 1 else best / ops.sum(best, axis=-1, keepdims=True)",
        "cut": "import numpy as np\ndef cut(logits, outputs):\n"
        "    e = np.exp(np.asarray(logits) - np.max(logits, 1, keepdims=True))\n"
        "    return np.einsum('be,bec->bc', e / e.sum(1, keepdims=True), np.asarray(outputs))",
    }
    with another_process() as channel:
        RemoteAnswer("load", channel).ask("load", chunks=list(sources.values()), given=[])
        for exercise in (lab04.mix, lab02.second_level, lab05.route):
            exercise._answer = RemoteAnswer(exercise.title, channel)
            assert exercise._judge("grading")[0] == "right", exercise._judge("grading")
        lab04.mix._answer = RemoteAnswer("cut", channel)
        assert lab04.mix._judge("grading")[0] == "not right yet"
        lab04.mix._answer = None
