import keras
import numpy as np
import pytest
from sparse_gate import GivenGate, PlainTopKGate

from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import DenseMoE, SparseMoE
from moe_keras.routing import routing_table


def two():
    return [keras.layers.Dense(1, name="low"), keras.layers.Dense(1, name="high")]


def steep_gate():
    """Expert 0 for inputs below 0, expert 1 above."""
    mixture = DenseMoE(two(), SoftmaxGate(2), name="steep")
    mixture.build((None, 1))
    mixture.gate.set_weights([np.array([[-50.0, 50.0]]), np.zeros(2)])
    return mixture


def test_by_hand():
    x = np.array([[-1.0], [-2.0], [1.0], [2.0], [3.0]], "float32")
    table = routing_table(steep_gate(), x, [0, 0, 0, 1, 1], class_names=["zero", "one", "two"])
    np.testing.assert_allclose(table.first, [[2 / 3, 1 / 3], [0, 1], [0, 0]])
    np.testing.assert_allclose(table.probability, table.first, atol=1e-6)
    np.testing.assert_allclose(table.counts.sum(axis=0), [2, 3], atol=1e-5)
    # p(label, expert): (0, 0) 2/5, (0, 1) 1/5, (1, 1) 2/5; labels 3/5, 2/5; experts 2/5, 3/5.
    expected = 0.4 * np.log(0.4 / (0.6 * 0.4)) + 0.2 * np.log(0.2 / 0.36) + 0.4 * np.log(0.4 / 0.24)
    assert table.information == pytest.approx(expected, abs=1e-5)
    assert str(table).splitlines()[1].split() == ["zero", "66.7%", "33.3%"]
    assert str(table).splitlines()[4].split() == ["load", "40.0%", "60.0%"]
    alt = table.plot(source="five numbers").alt
    assert "zero: low 67%" in alt and "five numbers" in alt
    assert "<td>66.7%</td>" in table._repr_html_()


def test_tokens_have_their_inputs_label():
    gate = GivenGate([[[0], [1]], [[1], [1]]], num_experts=2)
    mixture = SparseMoE(two(), gate)
    table = routing_table(mixture, np.ones((2, 2, 3), "float32"), [0, 1])
    assert table.counts.tolist() == [[1, 1], [0, 2]]


def test_batches_do_not_matter():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    y = np.arange(50) % 3
    mixture = SparseMoE(two(), PlainTopKGate(2, k=1))
    whole, parts = (routing_table(mixture, x, y, batch_size=size) for size in (50, 7))
    np.testing.assert_array_equal(whole.counts, parts.counts)
    np.testing.assert_allclose(whole.probability, parts.probability, rtol=1e-5)


def test_one_of_several_mixtures():
    first, second = (DenseMoE(two(), SoftmaxGate(2), name=name) for name in ("first", "second"))
    model = keras.Sequential([keras.Input((1,)), first, second])
    x = np.ones((4, 1), "float32")
    assert routing_table(model, x, [0, 1, 0, 1], mixture="second").mixture == "second"
    with pytest.raises(ValueError, match=r"one of first, second. Received: mixture=None"):
        routing_table(model, x, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        ([0, 1], None, r"each of 3 inputs. Received: shape \(2,\)"),
        ([[1, 0], [0, 1], [0, 1]], None, r"Received: shape \(3, 2\)"),
        ([0.5, 1.0, 2.0], None, "whole numbers from 0. Received: float64"),
        ([0, -1, 1], None, "whole numbers from 0"),
        ([0, 1, 2], ["a", "b"], "a name for each of 3 labels. Received: 2 names"),
    ],
)
def test_labels_are_checked(y, names, message):
    with pytest.raises(ValueError, match=message):
        routing_table(steep_gate(), np.ones((3, 1), "float32"), y, class_names=names)
