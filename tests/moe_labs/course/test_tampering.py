"""What changes or opens the judge is flagged in any form; honest code is not."""

import itertools

import pytest
from nbgrader.utils import is_locked, is_solution

from moe_labs.course.tampering import OF_A_JUDGE, touches_the_judge
from moe_labs.exercises import Exercise, exercise
from moe_labs.notebooks.catalogue import installed_labs
from moe_labs.notebooks.generate import solution_copy

# Each cell by itself: the import may stand in another one.
TARGETS = {
    "Exercise": "",
    "E": "from moe_labs.exercises import Exercise as E",
    "every.Exercise": "import moe_labs.exercises as every",
    "Kind": "Kind = type(lab01.build_cnn)",
    "lab01": "",
    "lab01.build_cnn": "",
    "type(lab01.build_cnn)": "",
    "lab01.build_cnn.__class__": "",
    "lab": "from moe_labs.exercises import lab01 as lab",
    "one": "one = lab01.build_cnn",
    "agreement": "from moe_labs.exercises import agreement",
}
STORES = [
    *("{}.{} = f", "{}.{}: object = f", "{}.{} += f", "del {}.{}", "{}.{}, x = f", "x = {}.{} = f"),
    *("for {}.{} in [f]: pass", "with f as {}.{}: pass", "[0 for {}.{} in [f]]"),
    *("setattr({}, '{}', f)", "delattr({}, '{}')", "type.__setattr__({}, '{}', f)"),
    *("s = setattr; s({}, '{}', f)", "vars({})['{}'] = f", "{}.__dict__['{}'] = f"),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", ["grade", "whatever"])
def test_every_store_to_what_is_the_courses_is_flagged(target, store, name):
    source = store.format(target, name)
    assert touches_the_judge(f"{TARGETS[target]}\n{source}")
    assert touches_the_judge(f"{TARGETS[target]}\ndef f():\n    {source}")


@pytest.mark.parametrize("name", ["grade", "earned", "_share", "status", "draws"])
@pytest.mark.parametrize("store", STORES[:9])
def test_what_decides_is_known_by_its_name_alone(name, store):
    assert touches_the_judge(store.format("anything", name))


def test_all_that_an_exercise_decides_by_is_known():
    made = exercise(marks=1, cases=lambda random: [(1,)], hints=["", "", ""])(lambda x: x)
    names = {name for name in vars(Exercise) if not name.startswith("__")} | set(vars(made))
    decides_nothing = {"title", "hint", "hints", "_hints_shown", "solution"}
    assert names - decides_nothing <= OF_A_JUDGE


MAGICS = [
    *("%%time\n{}", "%%capture out\n{}", "%%timeit -n 1 -r 1\n{}", "%%prun -q\n{}", "\n%%time\n{}"),
    *("%%time\n%%capture\n%%time\n{}", "%%timeit {}\n1", "%%writefile helper.py\n{}"),
    *("%time {}", "%timeit -n 1 -r 1 {}", "%prun -q {}", "x = 1\n%time {}", "x = %time {}"),
    *("if True:\n    %time {}", "%time %time {}", "def f():\n    %time {}\nf()"),
]
TOUCHING = ["Exercise.grade = lambda self: None", "lab01 = fake", "setattr(lab01, 'mix', f)"]
HONEST = ["x = 3", "mix = lab01.mix.check(mix)", "model.status", "self.grade = 1"]


@pytest.mark.parametrize("magic", MAGICS)
def test_what_a_magic_runs_is_read(magic):
    for source in TOUCHING:
        assert touches_the_judge(magic.format(source)), source
    for source in HONEST:
        assert not touches_the_judge(magic.format(source)), source


@pytest.mark.parametrize(
    "source",
    [
        *("class lab01: pass", "def lab01(): pass", "import fake as lab01", "import lab01"),
        *("from fake import lab01", "from moe_labs.exercises import lab02 as lab01"),
        *("for lab01 in [x]: pass", "with x as lab01: pass", "lab01: object = x", "(lab01 := x)"),
        *("match x:\n    case lab01: pass", "match x:\n    case [*lab01]: pass", "del lab01"),
        "try:\n    pass\nexcept E as lab01:\n    pass",
    ],
)
def test_another_object_under_a_labs_name_is_flagged(source):
    assert touches_the_judge(source)


@pytest.mark.parametrize(
    "source",
    [
        *("get_ipython().push({'lab01': x})", "get_ipython().showtraceback = f"),
        *("get_ipython().user_ns['lab01'] = x", "get_ipython().set_custom_exc((Exception,), f)"),
        *("shell = get_ipython(); shell.push(x)", "shell = get_ipython(); shell.ex(x)"),
        *("locals()['lab01'] = x", "vars()['lab01'] = x", "__builtins__.print = f"),
        *("import builtins", "from unittest import mock", "sys.settrace(f)"),
        *("print(*In)", "print(_ih[3])", "import os\nprint(os.environ['MOE_KERAS_GRADING'])"),
    ],
)
def test_what_reaches_around_is_flagged(source):
    assert touches_the_judge(source)


@pytest.mark.parametrize(
    "source",
    [
        *("student.grade()", "self.grade = 3", "cls.count = 1", "type(self).count += 1"),
        *("self.__class__.count = 1", "self.__dict__['a'] = 1", "for _i in range(3): print(_i)"),
        *("In = 3\nprint(In)", "eval_ = model.evaluate(x)", "model.compile('adam')", "T['a'] = 1"),
        *("plt.rcParams['figure.dpi'] = 80", "get_ipython().__class__.__name__", "x = !ls"),
        *("from moe_labs.exercises import *", "from moe_labs.exercises import lab01 as lab01"),
        *("%pip install numpy", "%timeit f(x)", "?print", "lab01.mix?", "ax.title = 'x'"),
        *("layer.trainable = False", "a, b = lab01.mix.check(a), {}\nb['x'] = 1"),
        *("mix = lab01.mix.check(mix)\nmix.name = 'x'", "%%bash\nexport lab01=1"),
    ],
)
def test_honest_code_is_not(source):
    assert not touches_the_judge(source)


@pytest.mark.parametrize("lab", installed_labs(), ids=lambda lab: lab.number)
def test_nothing_in_a_solved_lab_is(lab):
    cells = [cell for cell in solution_copy(lab).cells if cell.cell_type == "code"]
    graded = [cell for cell in cells if "nbgrader" in cell.metadata and is_locked(cell)]
    assert any(map(is_solution, cells)) and graded
    flagged = [c.source for c in cells if c not in graded and touches_the_judge(c.source)]
    assert flagged == []


def test_reading_comes_to_an_end():
    deep = "%%time\n" * 300 + "x = 1"
    names = "\n".join(f"a{number} = a{number + 1}" for number in range(2000))
    for source in (deep, names, "x = " + "+".join(["1"] * 600), "x = " + "-" * 9000 + "1"):
        assert not touches_the_judge(source)


def test_stores_and_targets_are_many():
    assert len(list(itertools.product(TARGETS, STORES))) > 100
