"""The networks that `train` trains: one shared first part, a gate and experts on top of it."""

from typing import NamedTuple

import keras
from keras import layers

from moe_keras import (
    Combine,
    DenseMoE,
    LabelGuidedGate,
    SlotGate,
    SoftmaxGate,
    SoftMoE,
    SparseMoE,
    TopKGate,
)
from moe_keras.inspection.routes import Route
from moe_keras.runs.assignment import assignment_matrix
from moe_keras.runs.backbones import backbone


class Networks(NamedTuple):
    """One set of layers, three ways in.

    Attributes:
        taught: what is trained; takes (images, labels) if guided, else images.
        used: from images to probabilities (B, C); needs no labels.
        probe: from images to a dict: "answer" (B, C) and what the gate says.
        mixture: the mixture inside.
        guided_gate: the `LabelGuidedGate`, or None.
    """

    taught: keras.Model
    used: keras.Model
    probe: keras.Model
    mixture: keras.layers.Layer
    guided_gate: keras.layers.Layer | None

    def observe(self, x):
        """Answers (N, C) and weights (N, E) for images."""
        told = self.probe.predict(x, batch_size=500, verbose=0)
        answer = told.pop("answer")
        weights = Route(self.mixture, None, None, told).weights()
        middle = tuple(range(1, weights.ndim - 1))
        return answer, weights.mean(axis=middle) if middle else weights


def build_networks(settings, dataset, groups=None):
    """Build what the settings ask for.

    The gate and the experts see the features that the shared part finds: for "cnn" three
    convolutions, for "mlp" the scaled pixels, else a backbone.

    Args:
        settings: a `Settings`.
        dataset: the `Dataset` that they are for.
        groups: labels of each expert, if guided.

    Returns:
        Networks.

    Raises:
        ValueError: if there is no such backbone.
        ConnectionError: if its weights cannot be downloaded.
    """
    num_classes = dataset.num_classes
    images = keras.Input(dataset.x_train.shape[1:], name="images")
    part = {None: settings.expert, "vgg": "vgg"}.get(settings.backbone, "backbone")
    if settings.backbone:
        features = backbone(images, settings.backbone, settings.backbone_weights, dataset.key)
    else:
        features = layers.Rescaling(1 / 255)(images)
        features = _convolutions(features) if part == "cnn" else features
    if settings.kind == "soft":
        return _soft(settings.experts, images, features, num_classes)
    experts = [_expert(part, num_classes, f"expert_{e}") for e in range(settings.experts)]
    if settings.kind == "sparse":
        top_k = min(2, settings.experts)
        gate = _gate(part, TopKGate(settings.experts, top_k, balance_loss=0.01))
        mixture = SparseMoE(experts, gate)
    else:
        gate = _gate(part, SoftmaxGate(settings.experts))
        if settings.kind == "guided":
            gate = LabelGuidedGate(gate, assignment_matrix(groups), settings.guidance)
        mixture = DenseMoE(experts, gate)
    answer = mixture(features)
    used = keras.Model(images, answer, name=settings.kind)
    probe = keras.Model(images, {"answer": answer, **gate(features)})
    if settings.kind != "guided":
        return Networks(used, used, probe, mixture, None)
    labels = keras.Input((), dtype="int32", name="labels")
    said = [expert(features) for expert in experts]
    weights = gate(features, labels)["probabilities"]
    taught = keras.Model([images, labels], Combine()(weights, said))
    return Networks(taught, used, probe, mixture, gate)


def _convolutions(x):
    for filters, kernel, stride in ((32, 5, 2), (32, 3, 1), (48, 3, 2)):
        x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    return x


def _flat(part):
    """Layers that make one vector of the features."""
    if part == "cnn":
        return [layers.Conv2D(16, 3, padding="same", activation="relu"), layers.Flatten()]
    pooling = {"vgg": layers.GlobalMaxPooling2D, "backbone": layers.GlobalAveragePooling2D}
    return [pooling.get(part, layers.Flatten)()]


def _expert(part, num_classes, name):
    units = 128 if part == "mlp" else 64
    hidden = [layers.Dense(units, activation="relu"), layers.Dropout(0.3)]
    last = layers.Dense(num_classes, activation="softmax", dtype="float32")
    return keras.Sequential([*_flat(part), *hidden, last], name=name)


def _gate(part, gate):
    hidden = [layers.Dense(64, activation="relu"), layers.Dropout(0.3)]
    return keras.Sequential([*_flat(part), *hidden, gate], name="gate")


def _soft(num_experts, images, features, num_classes):
    _, height, width, depth = features.shape
    tokens = layers.Reshape((height * width, depth))(features)
    tokens = layers.Dense(64)(tokens)
    experts = [
        keras.Sequential(
            [layers.Dense(128, activation="relu"), layers.Dense(64)], name=f"expert_{e}"
        )
        for e in range(num_experts)
    ]
    slots = max(1, height * width // (4 * num_experts))
    gate = SlotGate(num_experts, slots)
    mixture = SoftMoE(experts, gate)
    x = layers.Add()([tokens, mixture(tokens)])
    x = layers.Flatten()(x) if height * width <= 64 else layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.3)(x)
    answer = layers.Dense(num_classes, activation="softmax", dtype="float32")(x)
    used = keras.Model(images, answer, name="soft")
    probe = keras.Model(images, {"answer": answer, "probabilities": gate(tokens)["probabilities"]})
    return Networks(used, used, probe, mixture, None)
