"""Blocks that run all experts, as keras-hub's do, become sparse where they stand.

The stand-in has the names of keras-hub's Mixtral and Qwen3-MoE; `tests/peers` has the originals.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops
from layer_contract import to_numpy

from moe_keras.mixtures import CapacityDispatcher, accelerate
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher

E, D, H, K = 5, 4, 6, 2
X = np.random.default_rng(0).normal(size=(3, 7, D)).astype("float32")


class Experts(layers.Layer):
    """All experts on all tokens: (T, D) to (E, T, D)."""

    def build(self, _):
        shapes = {"gate": (D, 2 * H), "output": (H, D)}
        self.gate_up, self.down = (
            self.add_weight(
                shape=(E, *shape), initializer="normal", name=f"expert_feedforward_{name}_dense"
            )
            for name, shape in shapes.items()
        )

    def call(self, tokens):
        gate, up = ops.split(ops.einsum("th,ehm->etm", tokens, self.gate_up), 2, axis=-1)
        return ops.einsum("eti,eih->eth", ops.silu(gate) * up, self.down)


class Block(layers.Layer):
    """As the blocks of keras-hub."""

    factor = 1.0  # keras-hub's
    hidden_dim, top_k = D, K
    router_aux_loss_coef = 0.5

    def __init__(self, norm_top_k_prob=True, **kwargs):
        super().__init__(**kwargs)
        self.norm_top_k_prob = norm_top_k_prob
        self.times_all_ran = 0

    def build(self, shape):
        self.router = layers.Dense(E, use_bias=False, name="sparse_feedforward_gate_dense")
        self.router.build(shape)
        self.expert_bank = Experts(name="experts")
        self.expert_bank.build(shape)

    def call(self, hidden_states, attention_mask=None, training=None):
        self.times_all_ran += 1
        tokens = ops.reshape(hidden_states, (-1, D))
        logits = self.router(tokens)
        probabilities = ops.softmax(logits)
        weights, indices = ops.top_k(probabilities, K)
        if self.norm_top_k_prob:
            weights = weights / ops.sum(weights, axis=-1, keepdims=True)
        chosen = ops.one_hot(indices, E)  # (T, k, E)
        spread = ops.transpose(ops.sum(chosen * weights[..., None], axis=1))  # (E, T)
        outputs = ops.sum(self.expert_bank(tokens) * spread[..., None], axis=0)
        if training:
            load = ops.mean(chosen, axis=(0, 1))  # (E,)
            loss = E * ops.sum(load * ops.mean(probabilities, axis=0))
            self.add_loss(self.router_aux_loss_coef * loss)
        return self.factor * ops.reshape(outputs, ops.shape(hidden_states)), logits


class Decoder(layers.Layer):
    """A block inside a layer, where `clone_model` does not reach."""

    def __init__(self, block, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def build(self, shape):
        self.block.build(shape)

    def call(self, inputs, training=None):
        return inputs + self.block(inputs, training=training)[0]


def model_of(*blocks):
    inputs = x = keras.Input((None, D))
    for block in blocks:
        x = Decoder(block)(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    random = np.random.default_rng(1)
    model.set_weights([random.normal(size=w.shape, scale=0.5) for w in model.get_weights()])
    return model


def test_it_is_the_same_model_with_the_same_outputs():
    model = model_of(Block(), Block(norm_top_k_prob=False))
    before, paths = to_numpy(model(X)), [weight.path for weight in model.weights]
    weights = [np.array(weight) for weight in model.get_weights()]
    assert accelerate(model) is model
    np.testing.assert_allclose(to_numpy(model(X)), before, rtol=1e-4, atol=1e-5)
    assert [weight.path for weight in model.weights] == paths
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_all_experts_run_no_more_not_even_in_functions_compiled_before():
    block = Block()
    model = model_of(block)
    model.compile("sgd", "mse")
    before = model.predict(X, verbose=0)
    accelerate(model)
    ran = block.times_all_ran
    np.testing.assert_allclose(model.predict(X, verbose=0), before, rtol=1e-4, atol=1e-5)
    model.fit(X, np.zeros((3, 7, 1)), verbose=0)
    assert block.times_all_ran == ran


def test_training_is_the_same_with_the_routers_loss():
    trained = []
    for change in (lambda model: model, accelerate):
        model = change(model_of(Block(), Block(norm_top_k_prob=False)))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        loss = model.fit(X, np.ones((3, 7, 1)), epochs=3, batch_size=3, verbose=0)
        trained.append((loss.history["loss"], model.get_weights()))
    (loss, weights), (sparse_loss, sparse_weights) = trained
    assert loss[0] > 1  # half of at least one for each router, from its balance
    np.testing.assert_allclose(sparse_loss, loss, rtol=1e-4)
    for one, other in zip(weights, sparse_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)


def test_checkpoints_are_those_of_the_model_before(tmp_path):
    model = model_of(Block())
    model.save_weights(tmp_path / "dense.weights.h5")
    before = to_numpy(model(X))
    accelerate(model).set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.load_weights(tmp_path / "dense.weights.h5")
    np.testing.assert_allclose(to_numpy(model(X)), before, rtol=1e-4, atol=1e-5)
    model.save_weights(tmp_path / "sparse.weights.h5")
    other = model_of(Block())
    other.set_weights([np.zeros_like(weight) for weight in other.get_weights()])
    other.load_weights(tmp_path / "sparse.weights.h5")
    np.testing.assert_array_equal(to_numpy(other(X)), before)


@pytest.mark.parametrize("dispatch", ["dense", "grouped", CapacityDispatcher(E / K)])
def test_any_dispatcher(dispatch):
    model = model_of(Block())
    before = to_numpy(model(X))
    accelerate(model, dispatch=dispatch)
    np.testing.assert_allclose(to_numpy(model(X)), before, rtol=1e-4, atol=1e-5)


def test_twice_is_as_good_as_once():
    model = model_of(Block())
    before = to_numpy(model(X))
    accelerate(accelerate(model))
    np.testing.assert_allclose(to_numpy(model(X)), before, rtol=1e-4, atol=1e-5)


class OtherBlock(Block):
    factor = 0.5  # of keras-hub's names, but not its computation


def test_a_block_that_computes_something_else_is_refused_and_nothing_changed():
    blocks = Block(), OtherBlock(name="other")
    model = model_of(*blocks)
    before = to_numpy(model(X))
    with pytest.raises(ValueError, match=r"'other' of type OtherBlock.*left as it was"):
        accelerate(model)
    ran = [block.times_all_ran for block in blocks]
    np.testing.assert_array_equal(to_numpy(model(X)), before)
    assert [block.times_all_ran for block in blocks] == [times + 1 for times in ran]


class Stopped(Dispatcher):
    """Fails at the second block."""

    def __init__(self, error):
        self.error, self.plans = error, 0

    def plan(self, routing):
        self.plans += 1
        if self.plans > 1:
            raise self.error
        return routing

    def dispatch(self, tokens, plan):
        return [tokens] * E

    def combine(self, outputs, plan):
        chosen = ops.one_hot(plan.indices, E) * plan.weights[..., None]  # (T, k, E)
        return ops.einsum("te,etd->td", ops.sum(chosen, axis=1), ops.stack(outputs))


@pytest.mark.parametrize("error", [TypeError("odd"), RuntimeError("odd"), KeyboardInterrupt()])
@pytest.mark.parametrize("accelerated", [False, True])
def test_whatever_goes_wrong_the_model_is_left_as_it_was(error, accelerated):
    blocks = Block(), Block()
    model = model_of(*blocks)
    if accelerated:
        accelerate(model)
    calls = [vars(block).get("call") for block in blocks]
    before, dispatch = to_numpy(model(X)), Stopped(error)
    with pytest.raises(type(error)):
        accelerate(model, dispatch)
    assert dispatch.plans == 2  # the first block had become another
    assert [vars(block).get("call") for block in blocks] == calls
    assert all("call" in vars(block) for block in blocks) is accelerated
    np.testing.assert_array_equal(to_numpy(model(X)), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.Input((D,)), layers.Dense(2)]), "without such blocks"),
        (lambda: Decoder(Block()), "without such blocks"),  # not built: no weights yet
        (lambda: "mixtral", "'mixtral' of type str"),
    ],
)
def test_a_model_without_such_blocks_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        accelerate(make())


def test_an_unknown_dispatch_is_refused():
    with pytest.raises(ValueError, match="dispatch"):
        accelerate(model_of(Block()), dispatch="fast")
