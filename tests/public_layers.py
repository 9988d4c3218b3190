"""One model for every public layer, the same each time: `MODELS`.

`PYTHONPATH=tests python -m public_layers FOLDER` saves them all, each with its answers.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from draws import ROWS, TOKENS

import moe_keras as moe
from moe_keras.mixtures import CapacityDispatcher

LABELS = np.random.default_rng(2).integers(0, 3, 6)


def dense(units=3):
    return keras.layers.Dense(units, "tanh")


def experts(count=3):
    return [dense() for _ in range(count)]


def classifier(units=3):
    return keras.Sequential([keras.layers.Dense(units, "softmax")])


def stack():
    return moe.StackedMLP(3, intermediate_dim=4, units=3, activation="tanh")


def sparse(dispatch, networks=experts):
    return moe.SparseMoE(networks(), moe.TopKGate(3), dispatch=dispatch)


def extraction():
    own = {"a": [experts(1), experts(2)], "b": [experts(2), experts(1)]}
    return moe.ProgressiveExtraction([experts(2), stack()], own)


def of_rows(layer):
    inputs = keras.Input(ROWS.shape[1:])
    return keras.Model(inputs, layer(inputs))


def of_tokens(layer):
    inputs = keras.Input(TOKENS.shape[1:])
    return keras.Model(inputs, layer(inputs))


def combined():
    inputs = keras.Input(ROWS.shape[1:])
    weights = keras.layers.Dense(2, "softmax")(inputs)
    return keras.Model(inputs, moe.Combine()(weights, [dense()(inputs), dense()(inputs)]))


def one_row_for_each_expert():
    inputs = keras.Input(batch_shape=TOKENS.shape)
    return keras.Model(inputs, stack()(inputs))


def label_guided():
    inputs, labels = keras.Input(ROWS.shape[1:]), keras.Input((), dtype="int32")
    gate = moe.LabelGuidedGate(moe.SoftmaxGate(2), label_to_expert=[[1, 0], [1, 0], [0, 1]])
    return keras.Model([inputs, labels], gate(inputs, labels))


# Functions, for a new model each time.
MODELS = {
    "BiasBalancedGate": lambda: of_tokens(moe.BiasBalancedGate(3)),
    "CascadeMoE": lambda: of_rows(moe.CascadeMoE(classifier(), experts(2), threshold=0.2)),
    "CascadeMoE of a fixed share": lambda: of_rows(
        moe.CascadeMoE(
            classifier(),
            experts(2),
            keras.layers.Dense(2, "softmax"),
            threshold=1,
            dispatch=CapacityDispatcher(0.5, batch_prioritized=True),
        )
    ),
    "ClassSubset": lambda: of_rows(moe.ClassSubset(classifier(2), class_ids=(2, 0), num_classes=3)),
    "Combine": combined,
    "DenseMoE": lambda: of_rows(moe.DenseMoE(experts(), moe.SoftmaxGate(3))),
    "DenseMoE of a stack": lambda: of_rows(moe.DenseMoE(stack(), moe.SoftmaxGate(3))),
    "Expert": lambda: of_rows(moe.Expert(dense())),
    "ExpertChoiceGate": lambda: of_tokens(moe.ExpertChoiceGate(3)),
    "ExpertChoiceMoE": lambda: of_tokens(moe.ExpertChoiceMoE(experts(), moe.ExpertChoiceGate(3))),
    "FrozenExpert": lambda: of_rows(moe.FrozenExpert(dense())),
    "GaussianMoE": lambda: of_rows(moe.GaussianMoE(experts(), moe.SoftmaxGate(3))),
    "GaussianMoE of tokens": lambda: of_tokens(
        moe.GaussianMoE([dense(4), dense(4)], moe.SoftmaxGate(2), scales="input")
    ),
    "GroupGate": lambda: of_rows(moe.GroupGate(classifier(4), groups=[(0, 3), (1, 2)])),
    "GroupLimitedGate": lambda: of_tokens(
        moe.GroupLimitedGate(6, 3, num_groups=3, top_groups=2, route_scale=2.5, sequence_loss=0.1)
    ),
    "HierarchicalGate": lambda: of_rows(moe.HierarchicalGate((2, 3))),
    "HierarchicalMoE": lambda: of_rows(moe.HierarchicalMoE([experts(2), experts(2)])),
    "LabelGuidedGate": label_guided,
    "MultiGateMoE": lambda: of_rows(moe.MultiGateMoE(experts(), ["a", "b"])),
    "MultiGateMoE of tokens": lambda: of_tokens(
        moe.MultiGateMoE(stack(), {"a": moe.TopKGate(3, balance_loss=0.1), "b": moe.TopKGate(3, 1)})
    ),
    "NoisyTopKGate": lambda: of_tokens(moe.NoisyTopKGate(3, seed=1)),
    "PerClassGate": lambda: of_rows(moe.PerClassGate(num_classes=3, num_experts=2)),
    "ProgressiveExtraction": lambda: of_rows(extraction()),
    "SlotGate": lambda: of_tokens(moe.SlotGate(2, slots=3)),
    "SoftMoE": lambda: of_tokens(moe.SoftMoE(experts(2), moe.SlotGate(2, slots=3))),
    "SoftmaxGate": lambda: of_rows(moe.SoftmaxGate(3)),
    "SparseMoE": lambda: of_tokens(sparse("auto")),
    "SparseMoE by capacity": lambda: of_tokens(sparse(CapacityDispatcher(1.5))),
    "SparseMoE dense": lambda: of_tokens(sparse("dense")),
    "SparseMoE of rows": lambda: of_rows(sparse("auto")),
    "SparseMoE of a stack": lambda: of_tokens(sparse("blocked", stack)),
    "StackedMLP": one_row_for_each_expert,
    "TopKGate": lambda: of_tokens(moe.TopKGate(3, balance_loss=0.1, z_loss=0.1)),
}


def inputs_of(model):
    """What the model takes: rows or tokens, and labels if it wants them."""
    data = TOKENS if len(model.inputs[0].shape) == 3 else ROWS
    return data if len(model.inputs) == 1 else [data, LABELS]


def with_weights(model):
    """The model with weights drawn anew, biases too, which start as zeros."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def answers_of(model):
    """All that the model says of its inputs, as a list of arrays."""
    outputs = keras.tree.flatten(model(inputs_of(model), training=False))
    return [np.array(keras.ops.convert_to_numpy(y)) for y in outputs]


def save_all(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, make_model in MODELS.items():
        model = with_weights(make_model())
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", *answers_of(model))


if __name__ == "__main__":
    save_all(*sys.argv[1:])
