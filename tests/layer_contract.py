"""What every layer of moe_keras promises, as one function: `run_layer_contract`.

Each promise is a function of its own, `check_...`, that raises an AssertionError or lets Keras's
own error pass. `tests/moe_keras/test_layer_contract.py` breaks each promise on purpose.
"""

import dataclasses
import difflib
import functools
import inspect
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import tree

from moe_keras.gates import Gate


@dataclasses.dataclass(frozen=True)
class Contract:
    """A layer and what is expected of it.

    Attributes:
        make_layer: function without arguments that gives a new layer, the same each time.
        inputs: array, or a tuple of what the layer's `call` takes by position (arrays, lists of
            arrays).
        expected_output: function from the built layer to its output on `inputs`, or nothing.
        trainable: number of trainable weights.
        non_trainable: number of weights that are not trained.
        no_gradient: parts of the paths of trainable weights that no gradient reaches by design.
        moves_untrained: parts of the paths of weights that move in training without a gradient.
        mask: boolean array of the inputs' first axes, or nothing.
        tolerance: how far results may differ that need not be the same to the last bit.
    """

    make_layer: Callable
    inputs: object
    expected_output: Callable | None = None
    trainable: int | None = None
    non_trainable: int | None = None
    no_gradient: tuple = ()
    moves_untrained: tuple = ()
    mask: np.ndarray | None = None
    tolerance: float = 1e-5

    @property
    def arguments(self):
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    def built_layer(self):
        layer = self.make_layer()
        layer(*self.arguments)
        return layer

    def model(self, layer):
        """A Functional model of the layer, batch size unknown; outputs that a loss can take."""
        symbols = tree.map_structure(input_like, self.arguments)
        outputs = tree.flatten(layer(*symbols))
        return keras.Model(tree.flatten(symbols), [y for y in outputs if is_float(y)])

    def one_step(self, model, **compile_options):
        """Train the model for one step; return each variable with its value before and after."""
        inputs = tree.flatten(self.arguments)
        rng = np.random.default_rng(0)
        answers = [rng.normal(size=y.shape) for y in flat_numpy(model(inputs))]
        model.compile(
            optimizer=keras.optimizers.SGD(1.0), loss=["mse"] * len(answers), **compile_options
        )
        variables = [v for v in model.variables if "seed_generator" not in v.path]
        before = [to_numpy(v) for v in variables]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*does not have any trainable weights")
                model.fit(inputs, answers, batch_size=len(inputs[0]), verbose=0)
        except (ValueError, RuntimeError) as error:
            # TensorFlow and PyTorch refuse a step without a single gradient: then nothing moved.
            if not any(words in str(error) for words in ("No gradients", "not require grad")):
                raise
        return [(v, b, to_numpy(v)) for v, b in zip(variables, before, strict=True)]


def run_layer_contract(make_layer, inputs, **expectations):
    """Hold a layer to the whole contract; `expectations` are the other fields of `Contract`."""
    contract = Contract(make_layer, inputs, **expectations)
    for check in CHECKS:
        check(contract)


def check_builds_once(contract):
    """`build` makes every weight, alone or by a first call; no later call makes more."""
    layer = contract.make_layer()
    builds = []
    build = layer.build

    @functools.wraps(build)
    def counted(*args, **kwargs):
        builds.append(1)
        return build(*args, **kwargs)

    layer.build = counted
    layer(*contract.arguments)
    weights = [tuple(w.shape) for w in layer.weights]
    layer(*contract.arguments)
    assert len(builds) <= 1, f"build ran {len(builds)} times"
    assert [tuple(w.shape) for w in layer.weights] == weights, "a later call made weights"

    alone = contract.make_layer()
    alone.build_from_config(layer.get_build_config() or {})
    built = [tuple(w.shape) for w in alone.weights]
    assert built == weights, "build alone does not make every weight"


def check_weight_counts(contract):
    layer = contract.built_layer()
    for name in ("trainable", "non_trainable"):
        expected = getattr(contract, name)
        found = len(getattr(layer, f"{name}_weights"))
        assert expected in (None, found), f"expected {expected} {name} weights, found {found}"


def check_expected_output(contract):
    if contract.expected_output is None:
        return
    layer = contract.built_layer()
    assert_same(
        layer(*contract.arguments), contract.expected_output(layer), contract.tolerance, "output"
    )


def check_spec(contract):
    """The structure, shapes and dtypes announced are those of the real output."""
    layer = contract.built_layer()
    output = layer(*contract.arguments)
    symbols = tree.map_structure(symbol_of, contract.arguments)
    spec = layer.compute_output_spec(*symbols)
    tree.assert_same_structure(spec, output)
    assert describe(spec) == describe(output), f"spec {describe(spec)}, output {describe(output)}"

    shapes = tree.map_structure(lambda x: tuple(x.shape), contract.arguments)
    announced = layer.compute_output_shape(*shapes)
    real = tree.map_structure(lambda y: tuple(y.shape), output)
    assert flat_shapes(announced) == flat_shapes(real), f"shape {announced}, output {real}"


def check_free_batch(contract):
    """A Functional model with batch size None gives what the layer gives, for any batch size."""
    layer = contract.built_layer()
    model = contract.model(layer)
    for output in model.outputs:
        assert output.shape[0] is None, f"the batch size is fixed to {output.shape[0]}"
    inputs = tree.flatten(contract.arguments)
    output = [y for y in tree.flatten(layer(*contract.arguments)) if is_float(y)]
    assert_same(model(inputs), output, contract.tolerance, "a Functional model's output")
    for y in tree.flatten(model([x[:1] for x in inputs])):
        assert y.shape[0] == 1, f"one input gives {y.shape[0]} outputs"


def check_config(contract):
    """The configuration is plain JSON, holds every argument, and gives back an equal layer."""
    layer = contract.built_layer()
    serialised = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(serialised)))
    assert type(again) is type(layer), f"{type(layer)} came back as {type(again)}"
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert hasattr(layer, name), f"argument {name} is no attribute"
            assert name in layer.get_config(), f"argument {name} is not in the configuration"
    found, expected = (
        json.dumps(without_identities(config), indent=1).splitlines()
        for config in (keras.saving.serialize_keras_object(again), serialised)
    )
    changed = "\n".join(difflib.unified_diff(expected, found, "before", "after", lineterm=""))
    assert not changed, f"the configuration changed:\n{changed}"
    again(*contract.arguments)
    again.set_weights(layer.get_weights())
    output = layer(*contract.arguments)
    assert_same(again(*contract.arguments), output, 0, "output of the layer from its configuration")


def check_training_argument(contract):
    """`training` may be None, True or False; None means False."""
    layer = contract.built_layer()
    plain, inference, training = (
        layer(*contract.arguments, training=value) for value in (None, False, True)
    )
    assert_same(plain, inference, 0, "output with training=None")
    assert describe(training) == describe(inference), "training=True changes shapes or dtypes"
    assert_finite(training, "output in training")


def check_training_and_saving(contract):
    """One step of `fit` moves what it should, and the trained model is saved to the last bit."""
    model = contract.model(contract.built_layer())
    for variable, before, after in contract.one_step(model):
        moved = not np.array_equal(before, after)
        exempt = contract.no_gradient if variable.trainable else contract.moves_untrained
        if any(part in variable.path for part in exempt):
            continue
        if variable.trainable:
            assert moved, f"no gradient reaches {variable.path}"
        else:
            assert not moved, f"{variable.path} moved, though it is not trained"
        assert np.isfinite(after).all(), f"{variable.path} is not finite after a step"

    inputs = tree.flatten(contract.arguments)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        model.save_weights(Path(folder, "model.weights.h5"))
        loaded = keras.saving.load_model(Path(folder, "model.keras"))
        fresh = contract.model(contract.make_layer())
        fresh.load_weights(Path(folder, "model.weights.h5"))
    for name, other in (("model", loaded), ("model with loaded weights", fresh)):
        assert_same(other(inputs), model(inputs), 0, f"output of the {name}")
        assert_same(other.get_weights(), model.get_weights(), 0, f"weights of the {name}")


def check_mixed_precision(contract):
    """In 16 bits outputs stay finite, as announced, and a gate's stay float32, after a step too."""
    before = keras.config.dtype_policy()
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            layer = contract.built_layer()
            output = layer(*contract.arguments)
            assert_finite(output, f"output under {policy}")
            if keras.backend.backend() != "torch":  # it traces every nested layer in float32
                check_spec(contract)
            if isinstance(layer, Gate):
                floats = [y for y in tree.flatten(output) if is_float(y)]
                dtypes = {keras.backend.standardize_dtype(y.dtype) for y in floats}
                assert dtypes == {"float32"}, f"a gate gives {dtypes} under {policy}"
            # In float16 Keras scales the loss and leaves out a step that overflows: nothing to see.
            if policy == "mixed_bfloat16":
                for variable, _, after in contract.one_step(
                    contract.model(layer), run_eagerly=True
                ):
                    assert np.isfinite(after).all(), f"{variable.path} is not finite after a step"
        finally:
            keras.config.set_dtype_policy(before)


def check_jit(contract):
    """Compiled by XLA or not, the output is the same."""
    if keras.backend.backend() == "torch":
        return
    model = contract.model(contract.built_layer())
    inputs = tree.flatten(contract.arguments)
    model.compile(jit_compile=True)
    with warnings.catch_warnings():
        # Keras would only warn, and run without.
        warnings.filterwarnings("error", message=".*jit_compile")
        compiled = model.predict(inputs, verbose=0)
    assert_same(compiled, model(inputs), contract.tolerance, "output when compiled")


def check_mask(contract):
    """Outputs that still have the masked axes carry the mask on; the others carry none."""
    if contract.mask is None:
        return
    mask = contract.mask
    (inputs,) = contract.arguments
    inputs = np.where(mask.reshape(mask.shape + (1,) * (inputs.ndim - mask.ndim)), inputs, 0)
    masked = keras.layers.Masking()(inputs)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*destroy the mask")
        outputs = contract.built_layer()(masked)
    for output in tree.flatten(outputs):
        keeps_axes = output.shape[: mask.ndim] == mask.shape and len(output.shape) > mask.ndim
        seen = to_numpy(SeenMask()(output))
        expected = mask if keeps_axes else np.array(-1)
        assert np.array_equal(seen, expected), f"expected the mask {expected}, seen {seen}"


def check_masked_model(contract):
    """In `predict`, `evaluate` and `fit`, compiled or not, masked inputs are taken and agree."""
    if contract.mask is None:
        return
    (inputs,) = contract.arguments
    inputs = np.where(contract.mask[..., None], inputs, 0)
    answers, target = [], np.zeros(len(inputs))
    for jit_compile in (False, True) if keras.backend.backend() != "torch" else (False,):
        keras.utils.set_random_seed(0)
        symbol = input_like(inputs)
        outputs = tree.flatten(contract.make_layer()(keras.layers.Masking()(symbol)))
        model = keras.Model(symbol, Total()([y for y in outputs if is_float(y)]))
        model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
        before = model.predict(inputs, verbose=0)
        loss = model.evaluate(inputs, target, verbose=0)
        np.testing.assert_allclose(loss, np.square(before).mean(), rtol=1e-4, err_msg="evaluate")
        assert_same(before, model(inputs), contract.tolerance, "predict on masked inputs")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have any trainable weights")
            try:
                model.fit(inputs, target, verbose=0)
            except (ValueError, RuntimeError) as error:
                if not any(words in str(error) for words in ("No gradients", "not require grad")):
                    raise
        assert_finite(model.get_weights(), "weights after a step on masked inputs")
        answers.append(before)
    assert_same(answers[-1], answers[0], contract.tolerance, "predict on masked inputs, compiled")


class Total(keras.layers.Layer):
    """The sum of all numbers of each of the batch, whatever is masked."""

    supports_masking = True

    def call(self, inputs):
        sums = [keras.ops.sum(keras.ops.reshape(y, (keras.ops.shape(y)[0], -1)), 1) for y in inputs]
        return sum(sums)

    def compute_mask(self, inputs, previous_mask):
        return None


class SeenMask(keras.layers.Layer):
    """Gives the mask that Keras hands to the layer after; -1 if none."""

    supports_masking = True

    def call(self, inputs, mask=None):
        return keras.ops.convert_to_tensor(-1) if mask is None else keras.ops.cast(mask, "int32")


CHECKS = (
    check_builds_once,
    check_weight_counts,
    check_expected_output,
    check_spec,
    check_free_batch,
    check_config,
    check_training_argument,
    check_training_and_saving,
    check_mixed_precision,
    check_jit,
    check_mask,
    check_masked_model,
)


def input_like(array):
    return keras.Input(array.shape[1:], dtype=array.dtype)


def symbol_of(array):
    return keras.KerasTensor(array.shape, str(array.dtype))


def to_numpy(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))


def flat_numpy(outputs):
    return [to_numpy(y) for y in tree.flatten(outputs)]


def flat_shapes(shapes):
    return tree.flatten(tree.map_shape_structure(lambda shape: str(tuple(shape)), shapes))


def without_identities(config):
    """A configuration but for the numbers by which Keras knows a shared layer in one process."""
    if isinstance(config, dict):
        return {k: without_identities(v) for k, v in config.items() if k != "shared_object_id"}
    return [without_identities(c) for c in config] if isinstance(config, list | tuple) else config


def is_float(tensor):
    return "float" in keras.backend.standardize_dtype(tensor.dtype)


def describe(outputs):
    """Shape and dtype of each tensor."""
    return [
        (tuple(y.shape), keras.backend.standardize_dtype(y.dtype)) for y in tree.flatten(outputs)
    ]


def assert_finite(outputs, what):
    for y in tree.flatten(outputs):
        values = to_numpy(keras.ops.cast(y, "float32"))
        assert np.isfinite(values).all(), f"{what} is not finite"


def assert_same(found, expected, tolerance, what):
    """Equal to within `tolerance`, and to the last bit if that is 0."""
    found, expected = flat_numpy(found), flat_numpy(expected)
    assert len(found) == len(expected), f"{what}: {len(found)} tensors, expected {len(expected)}"
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)
