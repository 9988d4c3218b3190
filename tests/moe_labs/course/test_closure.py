"""What answers need is carried over: all of it, in its order, and none of what takes long."""

import numpy as np
import pytest

from moe_labs.course.closure import bound, closure
from moe_labs.course.statements import statements

# Each ends with an answer; what it gives where all is run is what it must give apart.
NEEDED = {
    "a part of a table": "T = {}\nT['e'] = 2\ndef answer(): return T['e']",
    "a part of a part": "T = {'a': {}}\nT['a']['e'] = 2\ndef answer(): return T['a']['e']",
    "a part that goes": "T = {1: 2, 3: 4}\ndel T[1]\ndef answer(): return T",
    "a part that grows": "T = [1]\nT[0] += 1\ndef answer(): return T",
    "an attribute": "class A: pass\na = A()\na.e = 2\ndef answer(): return a.e",
    "an attribute of a function": "def f(): return f.e\nf.e = 2\ndef answer(): return f()",
    "methods": "T = {}\nT.update(a=1)\nT.setdefault('b', []).append(2)\ndef answer(): return T",
    "methods in a loop": "T = []\nfor i in range(3): T.append(i)\ndef answer(): return T",
    "a loop's sum": "n = 1\nT = []\nfor i in range(3):\n    n += i\n    T.append(n)\n"
    "def answer(): return T",
    "parts in a loop": "T = [[1], [2]]\nfor row in T: row.append(0)\ndef answer(): return T",
    "another name": "T = []\nU = T\nU.append(1)\ndef answer(): return T",
    "a method whose result is kept": "T = [1, 2]\nlast = T.pop()\ndef answer(): return T",
    "in a comprehension": "T = []\n[T.append(i) for i in range(3)]\ndef answer(): return T",
    "an import in try": "try:\n    import math as m\nexcept ImportError:\n    m = None\n"
    "def answer(): return m.floor(2.5)",
    "an import in if": "if True:\n    from math import floor as f\ndef answer(): return f(2.5)",
    "an import of all": "from math import *\ndef answer(): return floor(2.5)",
    "an import of all in try": "try:\n    from math import *\nexcept ImportError:\n    pass\n"
    "def answer(): return floor(2.5)",
    "a module's name": "import math\nm = math\ndef answer(): return m.floor(2.5)",
    "a dotted import": "import os.path\ndef answer(): return os.path.join('a', 'b')",
    "a function that fills": "def fill(table, x): table[x] = 1\nT = {}\nfill(T, x=3)\n"
    "def answer(): return T",
    "a function that fills what is global": "T = {}\ndef fill(): T['a'] = 1\nfill()\n"
    "def answer(): return T",
    "a global name": "def begin():\n    global T\n    T = 3\nbegin()\ndef answer(): return T",
    "a decorator that registers": "T = {}\ndef register(f):\n    T[f.__name__] = f\n    return f\n"
    "@register\ndef two(): return 2\ndef answer(): return T['two']()",
    "a decorator with arguments": "T = {}\ndef register(name):\n    def keep(f):\n"
    "        T[name] = f\n        return f\n    return keep\n"
    "@register('a')\ndef two(): return 2\ndef answer(): return T['a']()",
    "a builtin's name": "def sum(x): return 3\ndef answer(): return sum([1])",
    "in place by another's function": "import numpy as np\nimport heapq\nM = np.zeros(2)\n"
    "np.add.at(M, [0, 0], 1)\nnp.copyto(M[1:], 5)\nH = []\nheapq.heappush(H, 1)\n"
    "def answer(): return M.tolist(), H",
    "a seed": "import numpy as np\nnp.random.seed(3)\nT = np.random.random()\n"
    "def answer(): return T",
    "a class": "class Base:\n    n = 2\nclass A(Base):\n    n = Base.n + 1\n"
    "def answer(): return A().n",
    "a default": "K = 2\ndef answer(k=K): return k",
    "an annotated value": "K: int = 2\ndef answer(): return K",
    "a walrus": "print(K := 2)\ndef answer(): return K",
    "with": "import contextlib\nwith contextlib.nullcontext(2) as K: pass\ndef answer(): return K",
    "a match": "match [1, 2]:\n    case [_, K]: pass\ndef answer(): return K",
    "decorated, on one line": "import functools\nK = 1; L = 2\n@functools.cache\n"
    "def answer(): return K + L",
    "texts of several lines": "K = '''a\n  b'''\ndef answer(): return K",
    "a loop in a function": "def answer():\n    T = []\n    for i in range(3): T.append(i)\n"
    "    return T",
}
WRAPS = {
    "plain": "{}",
    "timed": "%%time\n{}",
    "captured": "%%capture out --no-stderr\n{}",
    "both": "%%time\n%%capture\n{}",
    "windows": None,
}


def carried(source):
    return closure([statements(source)], ["answer"])


def run(texts):
    names = {"__name__": "__main__"}
    for text in texts:
        exec(compile(text, "<answer>", "exec"), names)
    return names["answer"]()


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("what", NEEDED)
def test_what_is_needed_is_carried(what, wrap):
    state = np.random.get_state()
    source = NEEDED[what]
    wrapped = WRAPS[wrap].format(source) if WRAPS[wrap] else source.replace("\n", "\r\n")
    assert run(carried(wrapped)) == run([source])
    np.random.set_state(state)


@pytest.mark.parametrize("what", NEEDED)
def test_so_it_is_from_cell_to_cell_and_inside_other_statements(what):
    state = np.random.get_state()
    source = NEEDED[what]
    one_each = [[pair] for pair in statements(source)]
    assert run(closure(one_each, ["answer"])) == run([source])
    if "'''" not in source:
        inside = "if True:\n    " + source.replace("\n", "\n    ")
        assert run(carried(inside)) == run([source])
    np.random.set_state(state)


@pytest.mark.parametrize(
    "source",
    [
        *("%time K = 2", "%time K = 2\nK", "x = 1\n%time K = 2", "if True:\n    %time K = 2"),
        *("K = %time 1 + 1", "%prun -q K = 2", "%matplotlib inline\nK = 2", "!ls\nK = 2"),
        *("if True:\n    !ls\n    %matplotlib inline\n    K = 2", "%timeit -n 1 2\nK = 2"),
        *("%%time\nif True:\n    %time K = 2", "K = 2\nK?", "%%prun -q\nK = 2"),
    ],
)
def test_lines_with_magics_are_carried_without_them(source):
    texts = closure([statements(source), statements("def answer(): return K")], ["answer"])
    assert run(texts) == 2


HEAVY = [
    *("history = model.fit(x_train, y)", "model.fit(x_train.astype('float32'), y)"),
    *("fig, ax = plt.subplots()\nax.plot(x_train.mean(0))", "plt.plot(train(x_train))"),
    *("for a, b in zip(x_train, y): train(a, b)", "print(x_train.shape, train())"),
    *(
        "other = keras.Sequential([layers.Dense(2)])\nother.fit(x_train, y)",
        "%%timeit\nx_train = 1",
    ),
    *("def f():\n    x_train = []\n    x_train.append(train())\nf()", "[x_train for x_train in y]"),
    *("for i in range(3):\n    keras.utils.set_random_seed(i)\n    train(x_train)",),
    *("def f(x):\n    np.random.seed(x)\n    train(x)\nf(3)",),
    *("layers.Dense(3)(x_train)", "build(3).fit(x_train)", "y_train = x_train.sum(train())"),
]


@pytest.mark.parametrize("heavy", HEAVY)
def test_what_only_looks_at_a_value_is_left_out(heavy):
    setup = "import keras, numpy as np\nfrom matplotlib import pyplot as plt\n"
    setup += "from keras import layers\nx_train = np.ones(3)\n"
    answer = "def answer(): return keras.ops.sum(x_train), layers, plt, np"
    everything = [statements(part) for part in (setup, heavy, answer)]
    expected = [text for text, _ in (*everything[0], *everything[2])]
    assert closure(everything, ["answer"]) == expected


def test_names_of_a_function_are_its_own():
    answer = "def answer(model):\n    history = [x for x in model]\n    return history"
    cells = ["model = train()", "history = model.fit()", "x = load()", answer]
    assert closure(list(map(statements, cells)), ["answer"]) == [answer]


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "+".join(["1"] * 600),
        "x = " + "-" * 900 + "1",
        "x = y" + ".a" * 900,
        "x = y" + "[0]" * 900,
        "x = f" + "()" * 900,
        "x = " + "[" * 90 + "]" * 90,
        "x = " + "lambda: " * 300 + "1",
        "x = " + "a if b else " * 400 + "c",
        "if a: x = 1\n" + "elif b: x = 2\n" * 500 + "else: x = 3",
        "x = " + " and ".join(["(a or b)"] * 500),
        "x = " + "not " * 900 + "a",
    ],
    ids=lambda source: f"{source[:12]}...",
)
def test_however_deep_a_statement_is_it_is_read_or_its_cell_is_no_code(source):
    before = "first = 1\n"
    found = statements(f"{before}{source}\nlast = 2")
    assert [text for text, _ in found] in ([], ["first = 1", source, "last = 2"])
    assert closure([found], ["x"])[-1:] in ([], [source])


def test_the_sum_that_stopped_a_submission_is_read():
    source = "x = " + "+".join(["1"] * 600)
    texts = closure([statements(source), statements("def answer(): return x")], ["answer"])
    assert run(texts) == 600
    source = "if True:\n    %time y = 1\n    " + source  # with a magic, beside it
    texts = closure([statements(source)], ["x"])
    assert len(texts) == 1


def test_texts_are_those_of_the_cell():
    parts = ["x = 1", "y = (2,\n  3)", "@f\n# why\n@g(\n  4)\nclass A:\n    é = 'é'", "z = 'ä'"]
    assert [text for text, _ in statements("; ".join(parts[:2]) + "\n" + "\n".join(parts[2:]))] == (
        parts
    )


def test_imports_of_the_course_are_no_meaning():
    for source in ("from moe_labs.exercises import *", "import moe_labs.exercises as e"):
        ((_, node),) = statements(source)
        assert bound(node, ("moe_labs",)) == set()
        assert bound(node)
