"""Routing table: labels against experts."""

import numpy as np
from keras import ops

from moe_keras.losses import mutual_information
from moe_keras.metrics.expert_load import expert_load
from moe_keras.plots.heatmaps import heatmap
from moe_keras.routing.routes import checked_inputs, count, routes, the_one
from moe_keras.text_table import TextTable


class RoutingTable:
    """Labels against experts; prints as a table.

    Attributes:
        mixture: String, name of the mixture.
        classes: List of C strings, a name for each label.
        experts: List of E strings, a name for each expert.
        first: Array (C, E), fraction of a label's tokens whose most probable expert is e.
        probability: Array (C, E), mean probability of e for a label's tokens.
        counts: Array (C, E), assignments of a label's tokens to e; their summed probability where
            every expert is asked.
        information: Float, mutual information of label and expert in nats, from 0 (the gate ignores
            the label) to the smaller of log(C) and log(E).
    """

    def __init__(self, mixture, classes, experts, first, probability, counts, information):
        self.mixture = mixture
        self.classes = classes
        self.experts = experts
        self.first = first
        self.probability = probability
        self.counts = counts
        self.information = information

    def table(self):
        """`TextTable` of labels with the fraction of each expert."""
        rows = [
            [name, *(f"{share:.1%}" for share in shares)]
            for name, shares in zip(self.classes, self.first, strict=True)
        ]
        load = ops.convert_to_numpy(expert_load(self.counts))
        return TextTable(
            ["label", *self.experts], [*rows, ["load", *(f"{share:.1%}" for share in load)]]
        )

    def plot(self, *, source):
        """Heat map of `first`.

        Args:
            source: String, name of the data that it rests on: `dataset.label`.

        Returns:
            `Picture`, a figure with an alternative text.
        """
        return heatmap(
            self.first,
            self.classes,
            self.experts,
            f"{self.mixture}: most probable expert of each label",
            source=source,
            row_label="label",
            column_label="expert",
            form="{:.0%}",
        )

    def __str__(self):
        return (
            f"{self.table()}\nmutual information of label and expert: {self.information:.3f} nats"
        )

    def _repr_html_(self):
        note = f"mutual information of label and expert: {self.information:.3f} nats"
        return f"{self.table().to_html()}<p>{note}</p>"


def routing_table(model, x, y, class_names=None, mixture=None, batch_size=256):
    """Routing table: fraction of each label that goes to each expert.

    Where tokens are routed one by one, each token has its input's label.

    Args:
        model: Keras model with a mixture inside, or a mixture.
        x: Array (N, ...), inputs; a list or dict of arrays for a model that takes several.
        y: Integer array (N,), labels from 0.
        class_names: Sequence of strings, a name for each label; `None`: the numbers.
        mixture: String, name of the mixture to look at, needed where there are several.
        batch_size: Integer, inputs at a time.

    Returns:
        `RoutingTable`: print it, or show its `plot`.

    Raises:
        ValueError: if the model has no mixture, or several and none is named; the labels are not
            whole numbers from 0, one for each input, or there are fewer names; or inputs are not
            finite.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from moe_keras import DenseMoE, SoftmaxGate
    >>> from moe_keras.routing import routing_table
    >>> experts = [keras.layers.Dense(1, name="low"), keras.layers.Dense(1, name="high")]
    >>> mixture = DenseMoE(experts, SoftmaxGate(2))
    >>> mixture.build((None, 1))
    >>> mixture.gate.set_weights([np.array([[-9.0, 9.0]]), np.zeros(2)])
    >>> x, y = np.array([[-1.0], [-2.0], [1.0], [-1.0]], "float32"), [0, 0, 1, 1]
    >>> print(routing_table(mixture, x, y))
    label  low     high
    0      100.0%  0.0%
    1      50.0%   50.0%
    load   75.0%   25.0%
    mutual information of label and expert: 0.216 nats
    """
    x = checked_inputs(x)
    labels = checked_labels(y, count(x))
    num_classes = int(labels.max()) + 1
    if class_names is not None and len(class_names) < num_classes:
        raise ValueError(
            f"Expected a name for each of {num_classes} labels. Received: {len(class_names)} names"
        )
    classes = [str(c) for c in range(num_classes)] if class_names is None else list(class_names)
    route = the_one(routes(model, x, batch_size), mixture)
    probabilities = route.gate["probabilities"]
    tokens = int(np.prod(probabilities.shape[1:-1]))
    labels = np.repeat(labels, tokens)
    probabilities = probabilities.reshape(-1, route.num_experts)
    of_label = np.eye(len(classes))[labels].T  # (C, N tokens)
    sizes = np.maximum(of_label.sum(axis=1, keepdims=True), 1)
    first = np.eye(route.num_experts)[probabilities.argmax(axis=-1)]
    information = mutual_information(probabilities, labels, len(classes))
    return RoutingTable(
        mixture=route.mixture.name,
        classes=classes,
        experts=route.experts(),
        first=of_label @ first / sizes,
        probability=of_label @ probabilities / sizes,
        counts=of_label @ route.chosen().reshape(-1, route.num_experts),
        information=float(ops.convert_to_numpy(information)),
    )


def checked_labels(y, count):
    """Validate labels: an integer array (N,) from 0."""
    labels = np.asarray(y)
    if labels.shape != (count,):
        raise ValueError(
            f"Expected one label for each of {count} inputs. Received: shape {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min(initial=0) < 0:
        raise ValueError(
            "Expected labels to be whole numbers from 0. "
            f"Received: {labels.dtype}, such as {labels[:3].tolist()}"
        )
    return labels
