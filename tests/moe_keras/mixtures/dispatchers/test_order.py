import numpy as np
from layer_contract import to_numpy

from moe_keras.mixtures.dispatchers.order import order_by_expert


def test_by_hand():
    # Tokens 0, 1, 2 choose experts (3, 0), (0, 3), (3, 1). Choices, first ones first:
    # 3 0 3 | 0 3 1, numbered 0 1 2 | 3 4 5. By expert: 0: 1 and 3; 1: 5; 2: none; 3: 0, 2 and 4.
    order = order_by_expert(np.array([[3, 0], [0, 3], [3, 1]]), num_experts=4)
    assert to_numpy(order.choices).tolist() == [1, 3, 5, 0, 2, 4]
    assert to_numpy(order.rows).tolist() == [3, 0, 4, 1, 5, 2]
    assert to_numpy(order.starts).tolist() == [0, 2, 3, 3]
    assert to_numpy(order.counts).tolist() == [2, 1, 0, 3]


def test_is_stable_for_many_tokens():
    experts = np.random.default_rng(0).integers(0, 3, (1000, 1))
    order = order_by_expert(experts, num_experts=3)
    expected = np.argsort(experts[:, 0], kind="stable")
    assert np.array_equal(to_numpy(order.choices), expected)
    assert np.array_equal(to_numpy(order.rows)[expected], np.arange(1000))
