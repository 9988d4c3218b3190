"""Padding changes nothing: every layer on padded sequences against the same ones without it."""

import keras
import numpy as np
import pytest
from draws import normal
from keras import ops
from layer_contract import to_numpy

import moe_keras as moe
from moe_keras.masks import NO_EXPERT, call_masked, fill_groups, weigh
from moe_keras.mixtures import CapacityDispatcher, ExpertParallelDispatcher

SHORT = normal(2, 3, 4, seed=3)  # (B, T, D)
MASK = np.array([[True] * 3 + [False] * 2] * 2)  # (B, T + 2)
DISPATCHERS = [
    *("grouped", "dense", "capacity", "blocked"),
    CapacityDispatcher(0.5, batch_prioritized=True),
]


def dense():
    return keras.layers.Dense(3, "tanh")


def experts(make=dense, count=3):
    return [make() for _ in range(count)]


def stack():
    return moe.StackedMLP(3, intermediate_dim=4, units=3, activation="tanh")


def of_sequence(gate):
    """A gate that sees the mean of a sequence's tokens."""
    return keras.Sequential([keras.layers.GlobalAveragePooling1D(), gate])


def losing_gate():
    return moe.TopKGate(3, 2, balance_loss=0.1, z_loss=0.1)


def group_limited():
    return moe.GroupLimitedGate(4, 2, num_groups=2, sequence_loss=0.1, normalize=False)


SEQUENCE_EXPERTS = {
    "LSTM": lambda: keras.layers.LSTM(3),
    "Bidirectional": lambda: keras.layers.Bidirectional(keras.layers.GRU(2)),
    "pooling": keras.layers.GlobalAveragePooling1D,
    "Sequential": lambda: keras.Sequential([dense(), keras.layers.LSTM(3)]),
    "Expert": lambda: moe.Expert(keras.layers.LSTM(3)),
    "FrozenExpert": lambda: moe.FrozenExpert(keras.layers.LSTM(3)),
    "ClassSubset": lambda: moe.ClassSubset(keras.layers.LSTM(2), (2, 0), num_classes=3),
    "Model": lambda: WithoutMask(),
    "a mixture": lambda: moe.DenseMoE(
        experts(lambda: keras.layers.LSTM(3), 2), of_sequence(moe.SoftmaxGate(2))
    ),
}
# By token: what is said of a token of a padded sequence is what is said of it without the padding.
BY_TOKEN = {
    "BiasBalancedGate": lambda: moe.BiasBalancedGate(3),
    "DenseMoE": lambda: moe.DenseMoE(experts(), moe.SoftmaxGate(3)),
    "DenseMoE of sequences": lambda: moe.DenseMoE(
        experts(lambda: keras.layers.LSTM(3, return_sequences=True)), moe.SoftmaxGate(3)
    ),
    "ExpertChoiceMoE": lambda: moe.ExpertChoiceMoE(experts(), moe.ExpertChoiceGate(3, 1)),
    "ExpertChoiceMoE of a stack": lambda: moe.ExpertChoiceMoE(stack(), moe.ExpertChoiceGate(3, 1)),
    "GaussianMoE": lambda: moe.GaussianMoE(experts(), losing_gate()),
    "GroupLimitedGate": lambda: group_limited(),
    "HierarchicalMoE": lambda: moe.HierarchicalMoE([experts(count=2), experts(count=2)]),
    "MultiGateMoE": lambda: moe.MultiGateMoE(experts(), {"a": losing_gate()}),
    "NoisyTopKGate": lambda: moe.NoisyTopKGate(3, 2),
    "ProgressiveExtraction": lambda: moe.ProgressiveExtraction(
        [experts(), [keras.layers.LSTM(3, return_sequences=True), dense()]],
        {"a": [experts(), experts()], "b": [experts(), experts()]},
    ),
    "SlotGate": lambda: moe.SlotGate(3, slots=2),
    "SoftMoE": lambda: moe.SoftMoE(experts(), moe.SlotGate(3, slots=2)),
    "SoftMoE of a stack": lambda: moe.SoftMoE(stack(), moe.SlotGate(3, slots=2)),
    "SparseMoE blocked": lambda: moe.SparseMoE(stack(), moe.TopKGate(3), dispatch="blocked"),
    "SparseMoE of groups": lambda: moe.SparseMoE(experts(count=4), group_limited()),
    "SparseMoE shared": lambda: moe.SparseMoE(experts(), moe.TopKGate(3), shared_experts=[dense()]),
    "TopKGate": losing_gate,
    **{
        f"SparseMoE {i}": lambda dispatch=dispatch: moe.SparseMoE(
            experts(), losing_gate(), dispatch=dispatch
        )
        for i, dispatch in enumerate(DISPATCHERS)
    },
}
BY_SEQUENCE = {
    **{
        f"DenseMoE of {name}": lambda make=make: moe.DenseMoE(
            experts(make), of_sequence(moe.SoftmaxGate(3))
        )
        for name, make in SEQUENCE_EXPERTS.items()
    },
    **{
        f"SparseMoE {i} of {name}": lambda make=make, dispatch=dispatch: moe.SparseMoE(
            experts(make), of_sequence(moe.TopKGate(3, 1)), dispatch=dispatch
        )
        for name, make in SEQUENCE_EXPERTS.items()
        for i, dispatch in enumerate(DISPATCHERS[:4])
        if (name, dispatch) != ("a mixture", "blocked")  # refused
    },
    "GaussianMoE of LSTM": lambda: moe.GaussianMoE(
        experts(lambda: keras.layers.LSTM(3)), of_sequence(moe.SoftmaxGate(3))
    ),
    "MultiGateMoE of LSTM": lambda: moe.MultiGateMoE(
        experts(lambda: keras.layers.LSTM(3)), {"a": of_sequence(moe.TopKGate(3, 1))}
    ),
    "GroupGate": lambda: moe.GroupGate(of_sequence(keras.layers.Dense(3, "softmax"))),
    "LabelGuidedGate": lambda: moe.LabelGuidedGate(
        of_sequence(moe.SoftmaxGate(2)), label_to_expert=np.eye(2)
    ),
}


class WithoutMask(keras.Model):
    """A model whose `call` takes no mask, though the layer inside needs it."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.LSTM(3)

    def call(self, inputs):
        return self.inner(inputs)


def padded(content):
    return np.concatenate([SHORT, np.full((2, 2, 4), content, "float32")], axis=1)


def floats(outputs):
    """Each float output by name."""
    outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
    return {name: to_numpy(y) for name, y in outputs.items() if "float" in str(y.dtype)}


@pytest.mark.parametrize("name", BY_TOKEN)
def test_padding_of_tokens_changes_nothing(name):
    layer = BY_TOKEN[name]()
    expected = floats(layer(SHORT, training=True))
    losses = [float(to_numpy(loss)) for loss in layer.losses]
    found = floats(layer(padded(9.0), mask=MASK, training=True))
    for key, value in expected.items():
        if key == "token_weights":
            continue  # of experts, not of tokens
        if "Noisy" not in name:
            np.testing.assert_allclose(found[key][:, :3], value, atol=1e-6, err_msg=key)
    found_losses = [float(to_numpy(loss)) for loss in layer.losses]
    np.testing.assert_allclose(found_losses, losses, atol=1e-6)


@pytest.mark.parametrize("name", BY_SEQUENCE)
def test_padding_of_a_sequence_that_goes_whole_changes_nothing(name):
    layer = BY_SEQUENCE[name]()
    expected = floats(layer(SHORT))
    carried = keras.layers.Masking(9.0)(padded(9.0))
    for found in (layer(padded(9.0), mask=MASK), layer(carried)):
        for key, value in expected.items():
            np.testing.assert_allclose(floats(found)[key], value, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", [name for name in BY_TOKEN if "Sparse" in name or "Top" in name])
def test_not_even_nan_gets_out_of_padding(name):
    layer = BY_TOKEN[name]()
    layer.build(SHORT.shape)
    model = keras.Sequential([keras.layers.Masking(), Everything(layer)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(padded(0.0), np.zeros(2))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_task_takes_a_mask_of_its_own():
    gates = {task: of_sequence(moe.SoftmaxGate(3)) for task in "ab"}
    mixture = moe.MultiGateMoE(experts(lambda: keras.layers.LSTM(3)), gates)
    short, long = {"a": SHORT}, {"a": padded(9.0)}
    for inputs in (short, long):
        inputs |= {"b": padded(9.0), "shared": padded(9.0)}
    expected = mixture(short)
    found = mixture(long, mask={"a": MASK, "shared": None})
    for task in "ab":
        np.testing.assert_allclose(to_numpy(found[task]), to_numpy(expected[task]), atol=1e-6)


class Everything(keras.layers.Layer):
    """The sum of all that a layer says of tokens that are there, with NaN for padding."""

    supports_masking = True

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs, mask=None):
        inputs = ops.where(ops.expand_dims(mask, -1), inputs, np.nan)
        outputs = keras.tree.flatten(self.layer(inputs, mask=mask, training=True))
        real = [
            ops.where(ops.reshape(mask, (*mask.shape, *[1] * (len(y.shape) - 2))), y, 0.0)
            for y in outputs
            if "float" in str(y.dtype)
        ]
        return sum(ops.sum(ops.reshape(y, (2, -1)), axis=-1) for y in real)

    def compute_mask(self, inputs, previous_mask):
        return None


@pytest.mark.parametrize(
    "make", [losing_gate, lambda: moe.BiasBalancedGate(3, 2), lambda: group_limited()]
)
def test_padding_chooses_no_expert(make):
    gate = make()
    found = {name: to_numpy(y) for name, y in gate(padded(9.0), mask=MASK).items()}
    assert (found["indices"][:, 3:] == NO_EXPERT).all() and (found["weights"][:, 3:] == 0).all()
    assert (found["indices"][:, :3] != NO_EXPERT).all()


@pytest.mark.parametrize("dispatch", [CapacityDispatcher(0.5), ExpertParallelDispatcher(1, 0.5)])
def test_padding_takes_no_slot(dispatch):
    mixture = moe.SparseMoE([keras.layers.Identity()], Sole(), dispatch=dispatch)
    tokens, mask = np.array([[0.0], [0.0], [5.0], [7.0]]), np.array([False, False, True, True])
    # ceil(0.5 * 2 / 1) = 1 slot for the two tokens that are there, and the first of them has it.
    assert to_numpy(mixture(tokens, mask=mask))[:, 0].tolist() == [0, 0, 5, 0]
    kept = to_numpy(mixture.route(tokens, mask=mask)["kept"])
    assert kept[:, 0].tolist() == [False, False, True, False]


class Sole(keras.layers.Layer):
    """A gate of one expert, that knows of no masks."""

    def call(self, inputs):
        ones = ops.ones_like(inputs[..., :1])
        return {"indices": ops.cast(ones, "int32") - 1, "weights": ones, "probabilities": ones}


def test_choices_of_experts_do_not_count_padding():
    gate = moe.ExpertChoiceGate(2, capacity_factor=1)
    alone, together = gate(SHORT), gate(padded(9.0), mask=MASK)
    for name in ("token_indices", "token_weights"):
        a, b = (
            to_numpy(alone[name]),
            to_numpy(together[name]),
        )  # ceil(3 / 2), ceil(5 / 2)
        np.testing.assert_allclose(b[..., :2], a, atol=1e-6)
        assert (b[..., 2:] == (NO_EXPERT if name == "token_indices" else 0)).all()


def test_the_callers_tensor_is_left_alone():
    inputs = ops.convert_to_tensor(SHORT)
    call_masked(keras.layers.LSTM(2), inputs, MASK[:, :3])
    assert to_numpy(HasMask()(inputs)).tolist() is False


class HasMask(keras.layers.Layer):
    def call(self, inputs, mask=None):
        return ops.convert_to_tensor(mask is not None)


@pytest.mark.parametrize("shape", [(2, 1), (3,), (2, 5, 4, 1), ()])
@pytest.mark.parametrize("name", ["DenseMoE", "SparseMoE 0", "SoftMoE", "ExpertChoiceMoE"])
def test_a_mask_of_another_shape_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"mask whose axes are the inputs' first axes.*Received"):
        BY_TOKEN[name]()(padded(9.0), mask=np.ones(shape, bool))


def test_rows_alone_may_be_masked():
    # A mask (B,): the second sequence is not there, nor is it for a batch normalization.
    layer = moe.DenseMoE([keras.layers.BatchNormalization()], moe.SoftmaxGate(1))
    layer(SHORT, mask=np.array([True, False]), training=True)
    found = to_numpy(layer.experts[0].moving_mean)
    np.testing.assert_allclose(found, 0.01 * SHORT[0].mean(axis=0), atol=1e-6)


def test_what_is_not_there_is_selected_away():
    weights, values = np.array([0.5, 0.0, 0.0]), np.array([4.0, np.inf, np.nan])
    assert to_numpy(weigh(weights, values)).tolist() == [2, 0, 0]
    groups = np.array([[1.0, np.nan, 3.0], [np.inf, np.nan, 3.0]])
    own = np.array([[True, False, True], [False, False, True]])
    assert to_numpy(fill_groups(groups, own)).tolist() == [[1, 1, 3], [1, 1, 3]]
