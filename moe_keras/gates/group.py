"""Gate from a classifier and groups of classes."""

import keras
from keras import ops

from moe_keras.arguments import distinct_ids
from moe_keras.call_expert import call_expert
from moe_keras.gates.gate import Gate
from moe_keras.precision import float32_or_better
from moe_keras.serialization import output_shape, serialize

# Keeps the logarithm finite where the classifier rules a group out. 1e-7 is about what float32 can
# add to 1 (2 ** -23), so beside a probability of 1 nothing smaller could have counted anyway.
EPSILON = 1e-7
# How far probabilities of 16 bits may be from a sum of 1. Logits are hardly ever so near.
SUM_TOLERANCE = 0.02


@keras.saving.register_keras_serializable(package="moe_keras")
class GroupGate(Gate):
    """Gate from a classifier: an expert's weight is the probability of its group of classes.

        s_e = sum of p_c over the classes c in group e
        logits_e = log(s_e + epsilon)
        probabilities = softmax(logits) = (s_e + epsilon) / sum_j (s_j + epsilon)

    Where the groups cover all the classifier's classes that is s_e itself, to within 1e-7. Where
    they do not, it is the probability of group e among the groups.

    With `hard=True`, `"probabilities"` is 1 for the most probable group (the first of equals) and 0
    elsewhere: a switch. A switch passes no gradient on, so training the mixture cannot train its
    gate; train the classifier beforehand, on group labels, or use `hard=False`. (`"logits"` stay
    soft.)

    What is no distribution over the classes (numbers below 0, or a sum other than 1: a classifier
    that gives logits) names no expert: all its `"probabilities"` are 0, which `diagnose` reports.
    Put a softmax behind such a classifier.

    The classifier is trained along with the mixture unless it is frozen:
    `GroupGate(FrozenExpert(...))`.

    Args:
        classifier: Keras layer or model from the mixture's inputs to class probabilities (B, C).
        groups: List of E lists of integers: the class indices whose probabilities are summed for
            each expert; no index twice. `None`: one class an expert, in order.
        hard: Boolean, whether one expert gets all the weight.

    Call arguments:
        inputs: what the classifier takes.
        mask: passed on to the classifier.

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, E), float32.

    Raises:
        ValueError: if the classifier is not a Keras layer or does not give (B, C), or `groups` is
            or holds an empty group, a class index twice or one that the classifier does not know.

    Reference:
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm: gates as
        probabilities of a decision; here the decision is a classifier's.

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import GroupGate
    >>> four_classes = keras.layers.Softmax()
    >>> gate = GroupGate(four_classes, groups=[(0, 3), (1, 2)])
    >>> scores = np.log([[0.5, 0.1, 0.2, 0.2]]).astype("float32")
    >>> ops.convert_to_numpy(gate(scores)["probabilities"]).astype("float64").round(3).tolist()
    [[0.7, 0.3]]
    """

    def __init__(self, classifier, groups=None, hard=False, **kwargs):
        # No autocast: the classifier casts its inputs to its own dtype.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(classifier, keras.layers.Layer):
            raise ValueError(
                f"Expected the classifier to be a Keras layer or model. Received: {classifier!r}"
            )
        self.classifier = classifier
        self.groups = None if groups is None else _disjoint(groups)
        self.hard = hard

    def build(self, input_shape):
        shape = output_shape(self.classifier, input_shape)
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise ValueError(
                "Expected a classifier that gives class probabilities of shape (B, C). "
                f"Received: '{self.classifier.name}', which gives {shape}"
            )
        if self.groups is not None:
            distinct_ids("groups", sum(self.groups, ()), limit=shape[-1])

    def call(self, inputs, mask=None, training=None):
        classes = call_expert(self.classifier, inputs, mask, training=training)  # (B, C)
        classes = float32_or_better(ops.cast(classes, self.compute_dtype))
        # Asked this way around, NaN is not taken for a mistake and goes on.
        wrong = ops.logical_or(
            ops.any(classes < -SUM_TOLERANCE, axis=-1, keepdims=True),
            ops.abs(ops.sum(classes, axis=-1, keepdims=True) - 1) > SUM_TOLERANCE,
        )  # (B, 1)
        classes = ops.where(wrong, 0, classes)
        if self.groups is None:
            sums = classes
        else:
            members = [ops.take(classes, group, axis=-1) for group in self.groups]
            sums = ops.stack([ops.sum(group, axis=-1) for group in members], axis=-1)  # (B, E)
        logits = ops.log(sums + EPSILON)
        if self.hard:
            probabilities = ops.one_hot(ops.argmax(sums, axis=-1), sums.shape[-1], dtype=sums.dtype)
        else:
            probabilities = ops.softmax(logits)
        probabilities = ops.where(wrong, 0, probabilities)
        return {"logits": logits, "probabilities": probabilities}

    def get_config(self):
        config = {
            "classifier": serialize(self.classifier),
            "groups": self.groups,
            "hard": self.hard,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        classifier = keras.saving.deserialize_keras_object(config["classifier"])
        return cls(**{**config, "classifier": classifier})


def _disjoint(groups):
    groups = tuple(distinct_ids("each group", group) for group in groups)
    distinct_ids("groups", sum(groups, ()))
    return groups
