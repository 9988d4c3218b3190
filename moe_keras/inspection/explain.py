"""One input's way through the mixtures of a model."""

import numpy as np
from keras import ops

from moe_keras.inspection.routes import routes
from moe_keras.inspection.text_table import TextTable
from moe_keras.plots.decisions import decision

SHOWN = 12  # experts of a token; the rest have less weight
BY_TOKEN = ("logits", "probabilities", "indices", "kept")  # tensors with a row for each token


class Explanation:
    """What each mixture decided about one input, step by step. It prints as a table.

    Attributes:
        steps: list of `Step`, one for each token that each mixture routed.
        output: array, the answer of the outermost (first) mixture.
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
        """Bars of scores, probabilities and weights.

        Args:
            step: which of `steps` to show.
            source: what data the model has seen: `dataset.label`.

        Returns:
            `plots.Picture`.
        """
        return self.steps[step].plot(source)

    def __str__(self):
        shape = tuple(self.output.shape)
        return f"{self.table()}\noutput: shape {shape}, length {np.linalg.norm(self.output):.3f}"

    def _repr_html_(self):
        return self.table().to_html()


class Step:
    """One mixture's decision about one token.

    Attributes:
        mixture: name of the mixture.
        token: the token's place within the input, () for an input that is routed whole.
        experts: a name for each expert.
        logits: array (E,), or None where the gate gives none.
        probabilities: array (E,).
        weights: array (E,): what each answer is multiplied by; 0 for an expert that is not asked,
            or had no slot left.
        choices: the experts that the gate chose, best first.
        dropped: those of them that had no slot left.
        load: array (E,): how much of all of this input's tokens each expert is asked for.
        answers: a few words on each expert's answer, by its number.
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
            self.choices = gate["indices"].tolist()
        else:
            asked = np.flatnonzero(route.chosen()[0][token])
            self.choices = asked[np.argsort(-self.probabilities[asked], kind="stable")].tolist()
        self.dropped = gate["indices"][~gate["kept"]].tolist() if "kept" in gate else []
        self.load = load
        self.answers = _answers(route, token, self.choices)

    def rows(self):
        """A row for each expert, the chosen ones first."""
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
    """Follow one input through the mixtures of a model.

        scores (logits) -> probabilities -> choice of k -> load -> drops -> weights -> output

    The model is run as in inference and left as it was.

    Args:
        model: a Keras model with mixtures inside, or a mixture.
        x: array, one input with its batch axis: (1, ...).
        tokens: how many of its tokens to show where tokens are routed one by one.

    Returns:
        `Explanation`: print it, or show its `plot`.

    Raises:
        ValueError: if `x` is not one input, has values that are not finite, or the model has no
            mixture.

    Example:

    >>> import keras
    >>> from moe_keras import DenseMoE, SoftmaxGate
    >>> from moe_keras.inspection import explain
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
    x = np.asarray(x)
    if x.ndim == 0 or len(x) != 1:
        raise ValueError(
            f"Expected one input with its batch axis, of shape (1, ...). Received: shape {x.shape}"
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
    by_token = route.inputs.shape[1:-1] == route.gate["probabilities"].shape[1:-1]
    if route.mixture.stacked or "dispatch" in route.gate or (token and not by_token):
        return {}  # one call for all experts; slots instead of tokens; weights for each class
    # A mixture of tokens hands its experts tokens; one of images, images.
    held = route.inputs[0][token][None]
    said = {}
    for e in choices[:SHOWN]:
        values = ops.convert_to_numpy(route.mixture.experts[e](held, training=False))[0]
        if values.size == 1:
            said[e] = f"{values.item():.3f}"
        elif values.ndim == 1 and np.isclose(values.sum(), 1, atol=1e-3) and values.min() >= 0:
            said[e] = f"class {values.argmax()} ({values.max():.2f})"
        else:
            said[e] = f"length {np.linalg.norm(values):.3f}"
    return said
