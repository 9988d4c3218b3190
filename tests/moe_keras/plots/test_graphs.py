"""Which boxes a graph has, how they are joined, and that none covers another."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops
from matplotlib.patches import FancyBboxPatch

from moe_keras import plots
from moe_keras.experts import ClassSubset, FrozenExpert, StackedMLP
from moe_keras.gates import PerClassGate, SlotGate, SoftmaxGate
from moe_keras.mixtures import Combine, DenseMoE, SoftMoE

SOURCE = "stand-in for CIFAR-10 (generated images)"


def graph(model, **options):
    return plots.model_graph(model, "A model", source=SOURCE, **options)


def texts(picture):
    return [text.get_text() for text in picture.figure.axes[0].texts if text.get_text()]


def joined(picture):
    told = picture.alt.split("A model. ")[1].split(". Weights")[0]
    return set(told.split("; "))


def boxes(picture):
    patches = [p for p in picture.figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    return [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in patches]


def assert_boxes_are_apart_or_inside(picture):
    for (x, y, w, h), (a, b, v, k) in itertools.combinations(boxes(picture), 2):
        apart = x + w <= a or a + v <= x or y + h <= b or b + k <= y
        inside = x <= a and a + v <= x + w and y <= b and b + k <= y + h
        around = a <= x and x + w <= a + v and b <= y and y + h <= b + k
        assert apart or inside or around


@pytest.fixture
def nested():
    """A mixture with a mixture and a frozen expert inside."""
    expert = FrozenExpert(keras.Sequential([keras.Input((6,)), layers.Dense(2)]), name="frozen")
    inner = DenseMoE(
        [layers.Dense(4, name="one"), layers.Dense(4, name="two")], SoftmaxGate(2), name="inner"
    )
    few = ClassSubset(expert, class_ids=(3, 1), num_classes=4, name="few")
    outer = DenseMoE([inner, few], SoftmaxGate(2, name="first"), name="outer")
    numbers = keras.Input((6,), name="numbers")
    return keras.Model(numbers, outer(numbers))


def test_a_mixture_shows_gate_experts_and_sum(nested):
    picture = graph(nested)
    assert joined(picture) == {
        "numbers to outer",
        "first to weighted sum",
        "inner to weighted sum",
        "few to weighted sum",
        "SoftmaxGate to weighted sum",
        "one to weighted sum",
        "two to weighted sum",
        "Input to Dense",
    }
    assert_boxes_are_apart_or_inside(picture)


def test_a_box_tells_name_kind_shape_and_parameters(nested):
    shown = texts(graph(nested, depth=2))
    assert "numbers\nInput\n6" in shown
    assert "inner\nDenseMoE\n4\n70 parameters" in shown  # 2 * (6 * 4 + 4) + 6 * 2 + 2
    assert "few\nClassSubset\n4\n14 parameters, frozen" in shown  # 6 * 2 + 2
    assert "first\nSoftmaxGate\n2\n14 parameters" in shown
    assert shown.count("weighted sum") == 1


@pytest.mark.parametrize(("depth", "count"), [(1, 2), (2, 6), (3, 12)])
def test_depth_is_how_many_levels_are_open(nested, depth, count):
    # 1: input, outer. 2: outer is a frame of a gate, inner, few, a sum. 3: inner is a frame of a
    # gate, one, two, a sum; few is a frame of the model in it: an input and a layer.
    picture = graph(nested, depth=depth)
    assert len(boxes(picture)) == count
    assert_boxes_are_apart_or_inside(picture)


def test_lines_pass_between_boxes():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    weights = PerClassGate(3, 2, name="gate")(ops.concatenate([a, b], axis=-1))["probabilities"]
    picture = graph(keras.Model([a, b], Combine(name="sum")(weights, [a, b])))
    assert joined(picture) == {
        "a to Concatenate",
        "b to Concatenate",
        "Concatenate to gate",
        "gate to sum",
        "a to sum",
        "b to sum",
    }
    for x, y, width, height in boxes(picture):
        for line in picture.figure.axes[0].lines:
            for (x0, y0), (x1, y1) in itertools.pairwise(line.get_xydata()):
                for part in np.linspace(0.01, 0.99, 50):
                    at_x, at_y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
                    in_x = x + 0.01 < at_x < x + width - 0.01
                    assert not (in_x and y + 0.01 < at_y < y + height - 0.01)


def test_a_long_chain_stands_in_one_column():
    chain = keras.Sequential([keras.Input((8, 8, 1)), *(layers.ReLU() for _ in range(5))])
    picture = graph(chain)
    assert len({x for x, *_ in boxes(picture)}) == 1
    assert len(boxes(picture)) == 6
    assert "ReLU  8 x 8 x 1" in texts(picture)
    assert_boxes_are_apart_or_inside(picture)


def test_a_layer_used_twice_has_two_boxes():
    shared, a, b = layers.Dense(2, name="shared"), keras.Input((3,)), keras.Input((3,))
    picture = graph(keras.Model([a, b], shared(a) + shared(b)))
    assert texts(picture).count("shared\nDense\n2\n8 parameters") == 2


def test_a_mixture_alone_and_a_stack_of_experts():
    picture = graph(SoftMoE(StackedMLP(3, 4, name="stack"), SlotGate(3, 2)))
    assert {"SlotGate to weighted sum", "stack to weighted sum"} == joined(picture)


def test_it_says_its_source():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    picture = graph(model)
    assert picture.figure.get_supxlabel() == f"Data: {SOURCE}" and SOURCE in picture.alt


def test_what_has_no_graph_is_refused():
    with pytest.raises(ValueError, match=r"functional or sequential model that is built.*Dense"):
        graph(layers.Dense(3))
    with pytest.raises(ValueError, match=r"depth >= 1. Received: depth=0"):
        graph(SoftMoE(StackedMLP(3, 4), SlotGate(3, 2)), depth=0)
