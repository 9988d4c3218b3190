"""Networks of `train`: a shared backbone, a gate and experts on top of it."""

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
from moe_keras.routing.routes import Route
from moe_keras.runs.assignment import assignment_matrix
from moe_keras.runs.backbones import backbone


class Networks(NamedTuple):
    """Training model, inference model and probe around one set of layers.

    Attributes:
        training_model: Model that is trained; takes (images, labels) if guided, else images.
        inference_model: Model from images to probabilities (B, C); needs no labels.
        probe: Model from images to a dictionary: "output" (B, C) and the gate's tensors.
        mixture: The mixture inside.
        guided_gate: The `LabelGuidedGate`, or `None`.
    """

    training_model: keras.Model
    inference_model: keras.Model
    probe: keras.Model
    mixture: keras.layers.Layer
    guided_gate: keras.layers.Layer | None

    def observe(self, x):
        """Outputs (N, C) and weights (N, E) for images."""
        gate = self.probe.predict(x, batch_size=500, verbose=0)
        output = gate.pop("output")
        weights = Route(self.mixture, None, None, gate).weights()
        middle = tuple(range(1, weights.ndim - 1))
        return output, weights.mean(axis=middle) if middle else weights


def build_networks(settings, dataset, groups=None):
    """Build the networks of a run.

    The gate and the experts see the features that the shared part finds: for "cnn" three
    convolutions, for "mlp" the scaled pixels, else a backbone.

    Args:
        settings: `Settings` of the run.
        dataset: Dataset that they are for, as `data.load` returns it.
        groups: Sequence of sequences of integers, labels of each expert, if guided.

    Returns:
        `Networks` around one set of layers.

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
            gate = LabelGuidedGate(gate, assignment_matrix(groups), settings.guidance_weight)
        mixture = DenseMoE(experts, gate)
    output = mixture(features)
    inference = keras.Model(images, output, name=settings.kind)
    probe = keras.Model(images, {"output": output, **gate(features)})
    if settings.kind != "guided":
        return Networks(inference, inference, probe, mixture, None)
    labels = keras.Input((), dtype="int32", name="labels")
    outputs = [expert(features) for expert in experts]
    weights = gate(features, labels)["probabilities"]
    training = keras.Model([images, labels], Combine()(weights, outputs))
    return Networks(training, inference, probe, mixture, gate)


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
    output = layers.Dense(num_classes, activation="softmax", dtype="float32")(x)
    inference = keras.Model(images, output, name="soft")
    probe = keras.Model(images, {"output": output, "probabilities": gate(tokens)["probabilities"]})
    return Networks(inference, inference, probe, mixture, None)
