import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import HierarchicalGate, LabelGuidedGate, SoftmaxGate, TopKGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)
LABELS = np.array([0, 1, 2, 0, 1, 2])
MATRIX = [[1, 0], [1, 0], [0, 1]]  # (C, E)


def test_contract_with_labels():
    run_layer_contract(
        lambda: LabelGuidedGate(SoftmaxGate(2), MATRIX),
        (ROWS, LABELS),
        expected_output=lambda layer: layer.gate(ROWS),
        trainable=2,
        non_trainable=1,
    )


def test_guidance_can_be_annealed_while_a_compiled_step_is_used():
    gate = LabelGuidedGate(SoftmaxGate(2), MATRIX, guidance_weight=2.0)
    inputs, labels = keras.Input(ROWS.shape[1:]), keras.Input((), dtype="int32")
    model = keras.Model([inputs, labels], gate(inputs, labels)["probabilities"])
    model.compile("sgd", loss=None)
    model.optimizer.learning_rate = 0.0
    losses = []
    for strength in (2.0, 1.0, 0.0):
        gate.guidance_weight.assign(strength)
        losses.append(float(model.train_on_batch([ROWS, LABELS])))
    np.testing.assert_allclose(losses, [losses[0], losses[0] / 2, 0], rtol=1e-5)
    assert losses[0] > 0


def test_contract_without_labels():
    run_layer_contract(
        lambda: LabelGuidedGate(TopKGate(2, 1), MATRIX, guidance_weight=0.5),
        TOKENS,
        expected_output=lambda layer: layer.gate(TOKENS),
        trainable=1,
        mask=MASK,
    )


def test_labels_have_no_part_in_the_weights():
    gate = LabelGuidedGate(SoftmaxGate(2), MATRIX)
    answers = [
        to_numpy(gate(ROWS, labels, training=training)["probabilities"])
        for labels in (None, LABELS, 2 - LABELS)
        for training in (True, False)
    ]
    assert all(np.array_equal(answers[0], other) for other in answers)


def test_loss_in_training_with_labels_only():
    gate = LabelGuidedGate(SoftmaxGate(2), [[2, 2], [1, 0], [0, 3]], guidance_weight=0.5)
    for labels, training in ((LABELS, None), (LABELS, False), (None, True)):
        gate(ROWS, labels, training=training)
        assert gate.losses == []
    probabilities = to_numpy(gate(ROWS, LABELS, training=True)["probabilities"]).astype("float64")
    wanted = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])[LABELS]  # rows divided by their sums
    expected = -(wanted * np.log(probabilities)).sum(axis=1).mean()
    assert to_numpy(gate.losses[0]) == pytest.approx(0.5 * expected, rel=1e-5)


def test_masked_tokens_teach_nothing(rng):
    gate = LabelGuidedGate(SoftmaxGate(2), MATRIX)
    labels = rng.integers(0, 3, size=(3, 4))
    masking = keras.layers.Masking()
    gate(masking(np.where(MASK[..., None], TOKENS, 0)), labels, training=True)
    masked = to_numpy(gate.losses[0])
    gate(TOKENS[MASK], labels[MASK], training=True)
    assert masked == pytest.approx(to_numpy(gate.losses[0]), rel=1e-5)


@pytest.mark.parametrize("make_gate", [lambda: SoftmaxGate(2), lambda: HierarchicalGate((2,))])
def test_guidance_teaches_the_gate(make_gate):
    # Three labels, one feature each; afterwards the gate finds the expert without a label.
    images = np.eye(3, dtype="float32")[LABELS]
    gate = LabelGuidedGate(make_gate(), MATRIX)
    inputs, labels = keras.Input((3,)), keras.Input((), dtype="int64")
    taught = keras.Model([inputs, labels], gate(inputs, labels)["probabilities"])
    used = keras.Model(inputs, gate(inputs)["probabilities"])
    taught.compile(keras.optimizers.SGD(5.0), loss=lambda y, p: 0.0 * keras.ops.sum(p))
    taught.fit([images, LABELS], np.zeros((6, 2)), epochs=30, verbose=0)
    weights = to_numpy(used(np.eye(3, dtype="float32")))
    np.testing.assert_allclose(weights, np.array(MATRIX, float), atol=0.1)
    with_labels = to_numpy(taught([images, LABELS]))
    np.testing.assert_allclose(with_labels, weights[LABELS], atol=1e-6)


@pytest.mark.parametrize(
    "matrix",
    [
        [1, 0],
        [],
        [[]],
        [[1, 0], [0, 0]],
        [[1, -1]],
        [[1, 0], [1]],
        [[float("nan"), 1]],
        "ab",
        None,
    ],
)
def test_matrix_is_checked(matrix):
    with pytest.raises(ValueError, match=r"Expected label_to_expert to be a matrix .* Received: "):
        LabelGuidedGate(SoftmaxGate(2), matrix)


def test_columns_are_checked():
    with pytest.raises(ValueError, match=r"a column for each of 3 experts\. Received: 2 columns"):
        LabelGuidedGate(SoftmaxGate(3), MATRIX)(ROWS)


def test_gate_is_checked():
    with pytest.raises(ValueError, match=r"Expected the gate to be a Keras layer\. Received: 3"):
        LabelGuidedGate(3, MATRIX)
    with pytest.raises(ValueError, match=r"gives \"logits\"\. Received: 'plain', which gives"):
        LabelGuidedGate(keras.layers.Dense(2, name="plain"), MATRIX)(ROWS)


def test_labels_are_checked():
    with pytest.raises(ValueError, match=r"a label for each choice of the gate, .* Received: lab"):
        LabelGuidedGate(SoftmaxGate(2), MATRIX)(ROWS, LABELS[:, None])


def test_guidance_is_checked():
    with pytest.raises(ValueError, match=r"Expected guidance_weight .* Received: .*weight=-1"):
        LabelGuidedGate(SoftmaxGate(2), MATRIX, guidance_weight=-1)
