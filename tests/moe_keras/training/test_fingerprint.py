"""One thing changes in a layer: its fingerprint changes; nothing does: it stays."""

import functools
import importlib
import sys
import types

import keras
import numpy as np
import pytest
from keras import ops

from moe_keras.experts import FrozenExpert, vgg
from moe_keras.training import FrozenOutputs
from moe_keras.training.fingerprint import NoFingerprint, fingerprint

ROWS = np.linspace(-2, 3, 24).reshape(6, 4).astype("float32")


def frozen(layer):
    layer = FrozenExpert(layer)
    layer(ROWS)
    return layer


def dense(**options):
    return keras.layers.Dense(3, kernel_initializer="ones", **options)


def written(body, **known):
    """A layer whose class was just typed into a notebook."""
    notebook = types.ModuleType("__main__")
    vars(notebook).update(keras=keras, ops=ops, np=np, **known)
    code = f"class Mine(keras.layers.Layer):\n    def call(self, x):\n        return {body}\n"
    exec(code, vars(notebook))
    return notebook.Mine()


def with_attribute(value):
    layer = written("x * 2")
    layer.scale = value
    return layer


def closing_over(factor):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x * factor

    return Mine()


def helper(factor):
    notebook = types.ModuleType("helpers")
    exec(f"def scaled(x):\n    return x * {factor}", vars(notebook))
    return notebook


def function(source):
    """A function f that was just typed into a notebook."""
    notebook = types.ModuleType("__main__")
    exec(source, vars(notebook))
    return notebook.f


def package(value):
    """A package of one's own, with a number in a module inside."""
    outer, inner = types.ModuleType("outer"), types.ModuleType("outer.inner")
    inner.value, outer.inner = value, inner
    return outer


def imported_when_called(monkeypatch, value):
    module = types.ModuleType("numbers_of_mine")
    module.value = value
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return function("def f(x):\n    import numbers_of_mine as n\n    return x * n.value")


def decorated(factor):
    class Times:
        def __init__(self, f):
            functools.update_wrapper(self, f)
            self.f, self.factor = f, factor

        def __call__(self, x):
            return self.factor * self.f(x)

    return Times(ops.sin)


def calling(value):
    """A layer of one's own that calls an object, such as a constraint."""
    layer = written("x + self.value(x)")
    layer.value = value
    return layer


def functional(order):
    x = keras.Input((4,))
    parts = [keras.layers.Activation("tanh")(x), keras.layers.Rescaling(3.0)(x)]
    return keras.Model(x, keras.layers.Subtract()([parts[i] for i in order]))


def operations(axis):
    x = keras.Input((4,))
    return keras.Model(x, ops.flip(ops.cumsum(x, axis=-1), axis=axis))


class NoConfig(keras.Model):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.parts = {"inner": dense(activation=factor.kind)}

    def call(self, x):
        return self.parts["inner"](x)


class Slotted:
    __slots__ = ("kind",)

    def __init__(self, kind):
        self.kind = kind


def with_method(body):
    layer = keras.layers.Activation("relu")
    layer.call = body
    return layer


PAIRS = {
    "a value that is also a name": [
        lambda k=k: dense(activation=k, name=k) for k in ("relu", "sigmoid")
    ],
    "the same within a model": [
        lambda k=k: keras.Sequential([keras.Input((4,)), dense(activation=k, name=k)])
        for k in ("relu", "sigmoid")
    ],
    "names change places": [
        lambda k=k: keras.Sequential(
            [dense(activation=k[0], name=k[1]), dense(activation=k[1], name=k[0])]
        )
        for k in (("relu", "tanh"), ("tanh", "relu"))
    ],
    "the code of call": [lambda b=b: written(b) for b in ("x * 2", "x * 3", "x + 2")],
    "an operation in call": [lambda b=b: written(f"ops.{b}(x)") for b in ("sin", "cos")],
    "a global number": [lambda v=v: written("x * v", v=v) for v in (2, 3)],
    "a global function": [lambda v=v: written("f(x)", f=helper(v).scaled) for v in (2, 3)],
    "a module of one's own": [lambda v=v: written("m.scaled(x)", m=helper(v)) for v in (2, 3)],
    "a function in a function": [
        lambda v=v: written("(lambda y: y * v)(x)", v=v) for v in (2.0, 2.5)
    ],
    "a closure": [lambda v=v: closing_over(v) for v in (2, 3)],
    "an attribute set later": [
        lambda v=v: with_attribute(v) for v in (1, 2, "1", [1], (1,), {"a": 1}, {"b": 1}, 1.0)
    ],
    "an array": [lambda v=v: with_attribute(np.array(v)) for v in ([1, 2], [1, 3], [[1, 2]])],
    "an object": [lambda v=v: with_attribute(types.SimpleNamespace(a=v)) for v in (1, 2)],
    "an object with slots": [lambda v=v: with_attribute(Slotted(v)) for v in (1, 2)],
    "a partial function": [lambda v=v: with_attribute(functools.partial(max, v)) for v in (1, 2)],
    "a set": [lambda v=v: with_attribute(v) for v in ({1, 2}, {1, 3}, {(1, 2)}, {(2, 1)})],
    "a method of the one layer": [
        lambda f=f: with_method(f) for f in (lambda x: x * 2, lambda x: x * 3)
    ],
    "the order of a graph": [lambda o=o: functional(o) for o in ((0, 1), (1, 0))],
    "the arguments of an operation": [lambda a=a: operations(a) for a in (0, 1)],
    "a model without get_config": [lambda k=k: NoConfig(Slotted(k)) for k in ("relu", "sigmoid")],
    "a precision": [lambda d=d: dense(dtype=d) for d in ("float32", "mixed_bfloat16")],
    "a constraint that is called": [
        lambda v=v: calling(keras.constraints.MaxNorm(v)) for v in (1, 2)
    ],
    "a regularizer that is called": [
        lambda v=v: calling(keras.regularizers.L2(v)) for v in (0.1, 0.2)
    ],
    "an initializer that is held": [
        lambda v=v: with_attribute(keras.initializers.Constant(v)) for v in (1, 2)
    ],
    "a loss that is held": [lambda v=v: with_attribute(keras.losses.Huber(v)) for v in (1, 2)],
    "a callable with a state, which wraps a function": [
        lambda v=v: calling(decorated(v)) for v in (1, 2)
    ],
    "the order of arguments that are named": [
        lambda f=f: written("f(a=x, b=2.0)", f=function(f))
        for f in ("def f(a, b):\n    return a - b", "def f(b, a):\n    return b - a")
    ],
    "which argument has a default": [
        lambda f=f: written("f(x, b=2.0)", f=function(f))
        for f in (
            "def f(x, b=1.0, c=5.0):\n    return x * b",
            "def f(x, c=1.0, b=5.0):\n    return x * c",
        )
    ],
    "a module in a package": [
        lambda v=v: written("x * m.inner.value", m=package(v)) for v in (2, 3)
    ],
    "a word for getattr": [
        lambda v=v: written("x * getattr(m.inner, 'value')", m=package(v)) for v in (2, 3)
    ],
    "a masked array": [
        lambda m=m: with_attribute(np.ma.array([1, 2], mask=m)) for m in ((0, 0), (0, 1))
    ],
    "a Lambda": [lambda f=f: keras.layers.Lambda(f) for f in (lambda x: x * 2, lambda x: x * 3)],
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_decides_the_answer_is_in_the_fingerprint(name):
    prints = [fingerprint(frozen(make())) for make in PAIRS[name]]
    assert len(set(prints)) == len(prints)
    assert prints == [fingerprint(frozen(make())) for make in PAIRS[name]]


def of_models():
    """The attributes that Keras's models have and its layers have not."""
    model = keras.Sequential([keras.Input((1,))])
    return sorted({*vars(model), "history"} - {*vars(keras.layers.Layer())})


@pytest.mark.parametrize("name", of_models())
def test_an_attribute_of_a_layer_counts_though_models_have_one_of_this_name(name):
    layer = written("x * 2")
    setattr(layer, name, 2.0)
    before = fingerprint(frozen(layer))
    setattr(layer, name, 3.0)
    assert fingerprint(frozen(layer)) != before


def test_a_module_that_is_imported_in_a_call_counts(monkeypatch):
    prints = {
        fingerprint(frozen(written("f(x)", f=imported_when_called(monkeypatch, value))))
        for value in (2, 3)
    }
    assert len(prints) == 2


def test_a_module_that_a_call_is_yet_to_import_counts(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    layer = frozen(written("x * 2"))
    layer.layer.helper = function("def f(x):\n    import yet_to_come as n\n    return x * n.value")
    prints = set()
    for value in ("2.0", "3.00"):
        (tmp_path / "yet_to_come.py").write_text(f"value = {value}\n")
        importlib.invalidate_caches()
        prints.add(fingerprint(layer))
        del sys.modules["yet_to_come"]
    assert len(prints) == 2


def test_a_method_that_was_put_into_an_installed_class_counts(monkeypatch):
    before = fingerprint(frozen(dense()))
    call = keras.layers.Dense.call
    twice = function("def f(self, x, training=None):\n    return 2 * call(self, x)")
    twice.__globals__["call"] = call
    monkeypatch.setattr(keras.layers.Dense, "call", twice)
    assert fingerprint(frozen(dense())) != before


def test_a_limit_that_few_images_reach_is_no_old_answer(tmp_path):
    """Asking a few images anew would not find it."""
    rows = np.ones((100, 4), "float32")
    rows[3] = 20
    outputs = FrozenOutputs(tmp_path, verbose=0)
    for limit in (10.0, 5.0):
        layer = written("self.value(x)")
        layer.value = keras.constraints.MaxNorm(limit, axis=-1)
        length = np.linalg.norm(outputs(frozen(layer), rows), axis=-1)
        np.testing.assert_allclose(length[3], limit, rtol=1e-4)


def test_names_compilation_and_calls_are_not():
    def net(name):
        keras.utils.set_random_seed(3)
        layers = [keras.Input((4,)), dense(name=name), keras.layers.Dropout(0.5)]
        return keras.Sequential(layers, name=f"net_{name}")

    one, other = net("a"), net("relu")
    before = fingerprint(one)
    other.compile("adam", "mse")
    other.fit(ROWS, ROWS[:, :3] * 0, epochs=0, verbose=0)
    other.predict(ROWS, verbose=0)
    assert fingerprint(other) == before


def test_a_network_of_the_labs_takes_a_moment():
    keras.utils.set_random_seed(0)
    first, second = (vgg(3, widths=(4, 5), input_shape=(9, 9, 3)) for _ in range(2))
    second.set_weights(first.get_weights())
    assert fingerprint(first) == fingerprint(second)


def test_what_cannot_be_written_down_is_said():
    layer = frozen(written("x * 2"))
    layer.layer.__dict__["held"] = (i for i in ())
    with pytest.raises(NoFingerprint, match="generator"):
        fingerprint(layer)


def test_then_nothing_is_kept(tmp_path):
    layer = written("x * next(self.held)")
    layer.__dict__["held"] = iter(range(1, 99))
    layer.__dict__["lines"] = (i for i in ())
    outputs = FrozenOutputs(tmp_path / "kept", verbose=0)
    layer.build(ROWS.shape)
    with pytest.warns(UserWarning, match="Nothing is kept for 'mine"):
        first = outputs(layer, ROWS)
    assert not np.array_equal(first, outputs(layer, ROWS))  # and no second warning
    assert not (tmp_path / "kept").exists()


class Outside:
    """Reads a number of which its pickle holds nothing."""

    def __init__(self, world):
        self.world = world

    def __reduce_ex__(self, protocol):
        return "Outside"

    def __call__(self, x):
        return x * self.world["factor"]


@pytest.mark.parametrize("fresh", [False, True])
def test_what_no_fingerprint_holds_is_found_by_asking(tmp_path, fresh):
    world = {"factor": 2.0}
    layer = frozen(with_method(Outside(world)))
    outputs = FrozenOutputs(tmp_path, verbose=0)
    np.testing.assert_allclose(outputs(layer, ROWS), ROWS * 2)
    world["factor"] = 3.0
    if fresh:
        outputs = FrozenOutputs(tmp_path, verbose=0)
    np.testing.assert_allclose(outputs(layer, ROWS), ROWS * 3)
