"""Explanation of the routing of one input."""

import keras
import numpy as np
from keras import ops

from moe_keras.plots.decisions import decision
from moe_keras.routing.routes import as_arrays, routes
from moe_keras.text_table import TextTable

SHOWN = 12  # experts of a token; the rest have less weight
BY_TOKEN = ("logits", "probabilities", "indices", "kept")  # tensors with a row for each token


class Explanation:
    """Routing of one input, step by step; prints as a table.

    Attributes:
        steps: List of `Step`, one for each token that each mixture routed.
        output: Array, the answer of the outermost (first) mixture.
    """

    def __init__(self, steps, output):
        self.steps = steps
        self.output = output

    def table(self):
        """Rows of mixture, token, expert, score, probability, rank, weight, load, answer."""
        columns = [
            *("mixture", "token", "expert", "logit", "probability", "choice", "weight"),
            *("load", "answer"),
        ]
        return TextTable(columns, [row for step in self.steps for row in step.rows()])

    def plot(self, step=0, *, source):
        """Bar chart of logits, probabilities and weights.

        Args:
            step: Integer, which of `steps` to show.
            source: String, name of the data that the model has seen: `dataset.label`.

        Returns:
            `Picture`, a figure with an alternative text.
        """
        return self.steps[step].plot(source)

    def __str__(self):
        shape = tuple(self.output.shape)
        return f"{self.table()}\noutput: shape {shape}, length {np.linalg.norm(self.output):.3f}"

    def _repr_html_(self):
        return self.table().to_html()


class Step:
    """Routing of one token by one mixture.

    Attributes:
        mixture: String, name of the mixture.
        token: Tuple of integers, the token's place within the input; () for an input that is routed
            whole.
        experts: List of strings, a name for each expert.
        logits: Array (E,), or `None` where the gate returns none.
        probabilities: Array (E,).
        weights: Array (E,), what each output is multiplied by; 0 for an expert that is not chosen,
            or had no slot left.
        choices: List of integers, the experts that the gate chose, best first.
        dropped: List of integers, those of them that had no slot left.
        load: Array (E,), assignments of this input's tokens to each expert.
        answers: Dictionary from an expert's number to a few words on its output.
    """

    def __init__(self, route, token, load):
        gate = {name: values[0][token] for name, values in route.gate.items() if name in BY_TOKEN}
        self.mixture = route.mixture.name
        self.token = token
        self.experts = route.experts()
        self.probabilities = gate["probabilities"]
        self.logits = gate.get("logits")
        if self.logits is not None and self.logits.shape != self.probabilities.shape:
            self.logits = None  # a score for each slot, not for each expert
        self.weights = route.weights()[0][token]
        if "indices" in gate:
            self.choices = [e for e in gate["indices"].tolist() if e >= 0]  # -1: no expert
        else:
            asked = np.flatnonzero(route.chosen()[0][token])
            self.choices = asked[np.argsort(-self.probabilities[asked], kind="stable")].tolist()
        dropped = gate["indices"][~gate["kept"]].tolist() if "kept" in gate else []
        self.dropped = [e for e in dropped if e >= 0]
        self.load = load
        self.answers = _answers(route, token, self.choices)

    def rows(self):
        """List of rows, one for each expert, the chosen ones first."""
        others = [e for e in np.argsort(-self.probabilities) if e not in self.choices]
        rank = {e: f"{place + 1}" for place, e in enumerate(self.choices)}
        rank |= {e: f"{rank[e]}, dropped" for e in self.dropped}
        return [
            [
                self.mixture,
                ",".join(map(str, self.token)) or "all",
                self.experts[e],
                "" if self.logits is None else f"{self.logits[e]:.3f}",
                f"{self.probabilities[e]:.3f}",
                rank.get(e, ""),
                f"{self.weights[e]:.3f}",
                f"{self.load[e]:g}" if self.load[e] == int(self.load[e]) else f"{self.load[e]:.2f}",
                self.answers.get(e, ""),
            ]
            for e in [*self.choices, *others][:SHOWN]
        ]

    def plot(self, source):
        """See `Explanation.plot`."""
        place = f", token {','.join(map(str, self.token))}" if self.token else ""
        return decision(
            self.logits,
            self.probabilities,
            self.weights,
            self.experts,
            f"{self.mixture}{place}: from scores to weights",
            source=source,
            dropped=self.dropped,
        )


def explain(model, x, tokens=4):
    """Explain the routing of one input through the mixtures of a model.

        scores (logits) -> probabilities -> choice of k -> load -> drops -> weights -> output

    The model is run as in inference and left as it was.

    Args:
        model: Keras model with mixtures inside, or a mixture.
        x: Array (1, ...), one input with its batch axis; a list or dict of arrays for a model that
            takes several.
        tokens: Integer, how many of its tokens to show where tokens are routed one by one.

    Returns:
        `Explanation`: print it, or show its `plot`.

    Raises:
        ValueError: if `x` is not one input, has values that are not finite, or the model has no
            mixture.

    Example:

    >>> import keras
    >>> from moe_keras import DenseMoE, SoftmaxGate
    >>> from moe_keras.routing import explain
    >>> experts = [keras.layers.Rescaling(1.0, name="one"), keras.layers.Rescaling(2.0, name="two")]
    >>> gate = SoftmaxGate(2)
    >>> mixture = DenseMoE(experts, gate, name="mixture")
    >>> mixture.build((None, 1))
    >>> gate.set_weights([np.log([[3.0, 1.0]]), np.zeros(2)])
    >>> print(explain(mixture, np.ones((1, 1), "float32")))
    mixture  token  expert  logit  probability  choice  weight  load  answer
    mixture  all    one     1.099  0.750        1       0.750   0.75  1.000
    mixture  all    two     0.000  0.250        2       0.250   0.25  2.000
    output: shape (1,), length 1.250
    """
    x = as_arrays(x)
    shapes = [array.shape for array in keras.tree.flatten(x)]
    if any(shape[:1] != (1,) for shape in shapes):
        shapes = shapes[0] if len(shapes) == 1 else shapes
        raise ValueError(
            f"Expected one input with its batch axis, of shape (1, ...). Received: shape {shapes}"
        )
    found = routes(model, x)
    steps = []
    for route in found:
        load = route.chosen()[0].reshape(-1, route.num_experts).sum(axis=0)
        places = np.ndindex(*route.gate["probabilities"].shape[1:-1])
        steps += [Step(route, place, load) for _, place in zip(range(tokens), places, strict=False)]
    return Explanation(steps, found[0].output[0])


def _answers(route, token, choices):
    """What the chosen experts say of the token: a number, the surest class, or a length."""
    routed = route.gate["probabilities"].shape[1:-1]
    parts = keras.tree.flatten(route.inputs)
    by_token = all(part.shape[1:-1] == routed for part in parts)
    if "dispatch" in route.gate or (token and not by_token):
        return {}  # slots instead of tokens; weights for each class
    # A mixture of tokens hands its experts tokens; one of images, images.
    inputs = keras.tree.map_structure(lambda part: part[0][token][None], route.inputs)
    words = {}
    for e in choices[:SHOWN]:
        values = ops.convert_to_numpy(route.mixture.experts[e](inputs, training=False))[0]
        if values.size == 1:
            words[e] = f"{values.item():.3f}"
        elif values.ndim == 1 and np.isclose(values.sum(), 1, atol=1e-3) and values.min() >= 0:
            words[e] = f"class {values.argmax()} ({values.max():.2f})"
        else:
            words[e] = f"length {np.linalg.norm(values):.3f}"
    return words
