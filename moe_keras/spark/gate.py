"""A gate in Keras over tree experts: which tree to trust with which image."""

import keras
import numpy as np
from keras import layers, ops

from moe_keras.gates import PerClassGate, SoftmaxGate
from moe_keras.losses import gate_entropy
from moe_keras.mixtures import Combine
from moe_keras.spark.answers import batches

# Rows at a time where nothing is learnt.
ROWS = 2048
SMALLEST = 1e-7


def build_gate(features, experts, classes, per_class, dropout, seed):
    """512-256-128 units over an image and what the experts say about it.

    Returns:
        A model that takes [pixels, answers] and gives a weight an expert, (B, E); with
        `per_class`, a weight an expert and class, (B, C, E).
    """
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((features,), name="pixels")
    answers = keras.Input((experts, classes), name="answers")
    seen = [layers.Rescaling(1 / 255)(pixels), layers.Flatten()(answers)]
    hidden = layers.Concatenate()(seen)
    for units in (512, 256, 128):
        hidden = layers.Dropout(dropout)(layers.Dense(units, activation="relu")(hidden))
    decide = PerClassGate(classes, experts) if per_class else SoftmaxGate(experts)
    return keras.Model([pixels, answers], decide(hidden)["probabilities"])


def mixed(weights, answers):
    """Class probabilities (B, C) of the mixture, from arrays.

    Args:
        weights: (B, E) or (B, C, E).
        answers: (B, E, C).
    """
    weights = weights[:, None] if weights.ndim == 2 else weights
    probabilities = (weights * answers.transpose(0, 2, 1)).sum(axis=2)
    return probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), SMALLEST)


def train_gate(gate, path, entropy_weight, epochs, batch_size, learning_rate, seed, held_out, tell):
    """Fit a gate to the answers in a folder, one batch in memory at a time.

        loss = -log p(label) + entropy_weight * H(w)

    Args:
        gate: what `build_gate` gave.
        path: folder of answers to learn from.
        entropy_weight: above 0 the gate is pressed to decide, below 0 to stay open.
        epochs, batch_size, learning_rate, seed: of Adam, and of the rows' order.
        held_out: None, or a folder of answers; the weights of the epoch with the least
            cross-entropy there are taken in the end.
        tell: called with ("gate", epochs done, of all).

    Returns:
        A list with a dict for each epoch.
    """
    mixture = _mixture(gate, entropy_weight, learning_rate)
    history, best, least = [], None, np.inf
    for epoch in range(epochs):
        mixture.reset_metrics()
        for pixels, answers, labels, _ in batches(path, batch_size, seed + epoch):
            wanted = {"label": labels, "weights": labels}  # the entropy looks at no label
            metrics = mixture.train_on_batch([pixels, answers], wanted, return_dict=True)
        record = {"epoch": epoch + 1, "loss": float(metrics["loss"])}  # the mean of all batches
        if held_out is not None:
            record |= score(gate, held_out)
            if record["validation_loss"] < least:
                least, best = record["validation_loss"], gate.get_weights()
        history.append(record)
        if tell:
            tell("gate", epoch + 1, epochs)
    if best is not None:
        gate.set_weights(best)
    return history


def score(gate, path):
    """Cross-entropy and accuracy of the mixture on a folder of answers."""
    loss = right = rows = 0
    for _, answers, labels, _, weights in weighed(gate, path):
        probabilities = mixed(weights, answers)
        loss -= float(
            np.log(np.maximum(probabilities[np.arange(len(labels)), labels], SMALLEST)).sum()
        )
        right += int((probabilities.argmax(axis=1) == labels).sum())
        rows += len(labels)
    return {"validation_loss": loss / rows, "validation_accuracy": right / rows}


def weighed(gate, path):
    """Batches in the frame's order, with the gate's weights as the last of five arrays."""
    for pixels, answers, labels, clusters in batches(path, ROWS):
        weights = np.asarray(gate.predict_on_batch([pixels, answers]))
        yield pixels, answers, labels, clusters, weights


def _mixture(gate, entropy_weight, learning_rate):
    pixels, answers = gate.inputs
    weights = gate.output
    outputs_of_experts = [answers[:, e] for e in range(answers.shape[1])]
    # (B, C); with weights for each class, not of sum 1
    sum_of_all = Combine()(weights, outputs_of_experts)
    whole = ops.maximum(ops.sum(sum_of_all, axis=-1, keepdims=True), SMALLEST)
    outputs = {"label": sum_of_all / whole, "weights": weights}
    mixture = keras.Model([pixels, answers], outputs)
    mixture.compile(
        keras.optimizers.Adam(learning_rate),
        loss={
            "label": "sparse_categorical_crossentropy",
            "weights": lambda _, given: gate_entropy(given),
        },
        loss_weights={"label": 1.0, "weights": entropy_weight},
    )
    return mixture
