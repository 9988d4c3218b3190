"""Which rows are an expert's own is told to layers that need to know it, and to no others."""

import threading

import keras
import numpy as np
import pytest
from draws import normal
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

import moe_keras as moe
from moe_keras.call_expert import call_expert, of_keras
from moe_keras.mixtures import CapacityDispatcher, CascadeMoE

ROWS = normal(4, 4, seed=11)  # as many rows as classes: what is mixed up does not show as an error
INDICES = [[0], [1], [0], [0]]
DISPATCHERS = ["auto", "dense", "blocked", CapacityDispatcher(9.0)]
ENDS = {
    "Softmax": keras.layers.Softmax,
    "batch normalization": keras.layers.BatchNormalization,
    "frozen normalization": lambda: keras.layers.BatchNormalization(trainable=False),
    "dropout": lambda: keras.layers.Dropout(0.0),
    "ReLU": keras.layers.ReLU,
}


def expert(end, classes=4):
    initial = keras.initializers.GlorotNormal(seed=classes)
    return keras.Sequential([keras.layers.Dense(classes, kernel_initializer=initial), ENDS[end]()])


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("dispatch", DISPATCHERS)
@pytest.mark.parametrize("classes", [4, 3])
def test_every_way_says_what_each_expert_says_of_its_rows(end, dispatch, classes):
    experts = [expert(end, classes), expert(end, classes)]
    mixture = moe.SparseMoE(experts, GivenGate(INDICES, 2), dispatch=dispatch)
    own = [[i for i, (e,) in enumerate(INDICES) if e == number] for number in range(2)]
    expected = np.zeros((4, classes))
    for e, rows in enumerate(own):
        expected[rows] = to_numpy(experts[e](ROWS[rows]))
    np.testing.assert_allclose(to_numpy(mixture(ROWS)), expected, atol=1e-5)


def softmax_of(classes):
    return expert("Softmax", classes)


MIXTURES = {
    "DenseMoE": lambda: moe.DenseMoE([softmax_of(4), softmax_of(4)], moe.SoftmaxGate(2)),
    "CascadeMoE": lambda: CascadeMoE(softmax_of(4), [softmax_of(4)], threshold=2),
    "SparseMoE": lambda: moe.SparseMoE([softmax_of(4), softmax_of(4)], moe.TopKGate(2, 1)),
    "GroupGate": lambda: moe.DenseMoE(
        [keras.layers.Dense(3), keras.layers.Dense(3)],
        moe.GroupGate(softmax_of(4), [(0, 1), (2, 3)]),
    ),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mask_of_rows_is_none_of_classes(name):
    mixture = MIXTURES[name]()
    mask = np.array([True, True, False, True])
    masked, plain = to_numpy(mixture(ROWS, mask=mask)), to_numpy(mixture(ROWS))
    np.testing.assert_allclose(masked[mask], plain[mask], atol=1e-5)


def of_sequence(last):
    return keras.Sequential([keras.layers.GlobalAveragePooling1D(), last])


def lstms():
    return [keras.layers.LSTM(3), keras.layers.LSTM(3)]


WHOLE_SEQUENCES = {
    "GroupGate": lambda: moe.DenseMoE(
        lstms(), moe.GroupGate(of_sequence(keras.layers.Dense(2, "softmax")))
    ),
    "LabelGuidedGate": lambda: moe.DenseMoE(
        lstms(), moe.LabelGuidedGate(of_sequence(moe.SoftmaxGate(2)), np.eye(2))
    ),
    "SoftmaxGate": lambda: moe.DenseMoE(lstms(), of_sequence(moe.SoftmaxGate(2))),
    "ExpertChoiceMoE": lambda: moe.ExpertChoiceMoE(
        [keras.layers.Dense(3), keras.layers.Dense(3)], moe.ExpertChoiceGate(2)
    ),
    "experts that choose, inside": lambda: moe.SparseMoE(
        [WHOLE_SEQUENCES["ExpertChoiceMoE"](), WHOLE_SEQUENCES["ExpertChoiceMoE"]()],
        of_sequence(moe.TopKGate(2, 1)),
        dispatch="dense",
    ),
}


@pytest.mark.parametrize("name", WHOLE_SEQUENCES)
def test_a_mask_of_whole_sequences(name):
    sequences, mask = normal(4, 5, 3, seed=12), np.array([True, True, False, True])
    mixture = WHOLE_SEQUENCES[name]()
    masked, plain = to_numpy(mixture(sequences, mask=mask)), to_numpy(mixture(sequences))
    np.testing.assert_allclose(masked[mask], plain[mask], atol=1e-5)


class Counting(keras.layers.Layer):
    """A layer of one's own that counts the rows that are there."""

    def call(self, inputs, mask=None):
        there = ops.ones_like(inputs[:, 0]) if mask is None else ops.cast(mask, inputs.dtype)
        return inputs * 0 + ops.sum(there)


def test_a_layer_of_ones_own_is_told_its_rows():
    assert not of_keras(Counting())
    assert of_keras(keras.layers.Softmax())
    mixture = moe.SparseMoE([Counting(), Counting()], GivenGate(INDICES, 2), dispatch="dense")
    np.testing.assert_array_equal(to_numpy(mixture(ROWS))[:, 0], [3, 1, 3, 3])


class Meeting(keras.layers.Layer):
    """Where two threads wait for each other, the second leaving last."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.events = {name: threading.Event() for name in ("first in", "second in", "first out")}

    def call(self, inputs):
        if threading.current_thread().name == "first":
            self.events["first in"].set()
            self.events["second in"].wait(60)
        if threading.current_thread().name == "second":
            self.events["second in"].set()
            self.events["first out"].wait(60)
        return inputs


def test_two_threads_have_rows_of_their_own():
    meeting, counting = Meeting(), Counting()
    model = keras.Sequential([meeting, counting])
    model.build((None, 4))
    answers, masks = {}, {"first": [True, False, False, False], "second": [True, True, True, False]}

    def ask():
        name = threading.current_thread().name
        answers[name] = to_numpy(call_expert(model, ROWS, np.array(masks[name])))

    threads = {name: threading.Thread(target=ask, name=name) for name in masks}
    threads["first"].start()
    assert meeting.events["first in"].wait(60)
    threads["second"].start()
    threads["first"].join(60)
    meeting.events["first out"].set()
    threads["second"].join(60)
    assert answers["first"][0, 0] == 1
    assert answers["second"][0, 0] == 3
    for layer in (meeting, counting, model):
        assert not {"call", "add_loss"} & set(vars(layer))
