"""Diagnosis of the mixtures in a model."""

from typing import NamedTuple

import keras
import numpy as np

from moe_keras.experts import FrozenExpert
from moe_keras.gates import GroupGate
from moe_keras.routing.routes import as_arrays, checked_inputs, count, mixtures_in, routes, rows
from moe_keras.text_table import TextTable

SEVERITIES = ("ok", "warning", "error")

# What counts as ill. A choice, not a law: a mixture of two may well send 80 % to one expert.
SUM_TOLERANCE = 1e-3  # of a sum of weights from 1
SUM_TOLERANCE_16_BITS = 0.02  # of weights with 8 to 11 bits each
COLLAPSED = 0.95  # share of one expert
UNEVEN = 3.0  # largest load over mean load
DEAD = 0.001  # share of an expert over the even share
CONSTANT = 1e-4  # standard deviation of a probability over inputs
ROUNDING = 1e-6  # of a weight that is 1; of the largest step that training makes
OVERFLOW, LARGE_OVERFLOW = 0.01, 0.2  # dropped share of all choices


class Finding(NamedTuple):
    """Result of one check of one mixture.

    Attributes:
        severity: String, "ok", "warning" or "error".
        mixture: String, name of the mixture.
        check: String, what was looked at, in a word or two.
        message: String, what was measured and, unless all is well, what to do.
    """

    severity: str
    mixture: str
    check: str
    message: str


class UnhealthyMixture(RuntimeError):
    """Error that `Diagnosis.raise_if` raises; its message lists what is wrong."""


class Diagnosis:
    """List of findings that prints as a table, the worst first.

    Attributes:
        findings: List of `Finding`.
    """

    def __init__(self, findings):
        self.findings = sorted(findings, key=lambda f: -SEVERITIES.index(f.severity))

    @property
    def worst(self):
        """String, the gravest severity found."""
        return self.findings[0].severity

    def raise_if(self, severity="error"):
        """Raise if a finding is as bad as `severity` or worse: for continuous integration.

        Args:
            severity: String, "warning" or "error".

        Raises:
            UnhealthyMixture: if so, with the findings as its message.
            ValueError: if `severity` is neither.
        """
        if severity not in SEVERITIES[1:]:
            raise ValueError(
                f"Expected severity to be 'warning' or 'error'. Received: severity={severity!r}"
            )
        bad = SEVERITIES[SEVERITIES.index(severity) :]
        found = [finding for finding in self.findings if finding.severity in bad]
        if found:
            raise UnhealthyMixture(str(Diagnosis(found)))

    def table(self):
        """Rows of severity, mixture, check, message."""
        return TextTable(Finding._fields, self.findings)

    def __str__(self):
        return str(self.table())

    def _repr_html_(self):
        return self.table().to_html()


def diagnose(model, x, y=None, loss=None, batch_size=256):
    """Diagnose mixtures: collapse, dead experts, missing gradients, dropped assignments and more.

    Checked are, for each mixture: that all numbers are finite; that weights sum to 1 over the
    experts; that no expert has taken over, none is dead and the load is not too uneven; that the
    gate looks at its input; that no two experts have the same weights; how many choices were
    dropped; and, by one step of training that is undone afterwards, that a gradient of the loss
    reaches the gate, and not only one of a loss added to it, and that frozen experts do not move.
    Of numbers that are not finite nothing else is measured.

    Args:
        model: Built Keras model with mixtures inside, or a mixture.
        x: Array (N, ...), inputs, a few hundred at least: of fewer, an expert may get none by
            chance. A list or dict of arrays for a model that takes several.
        y: Array of targets for the training step, as for `fit`; a list or dict for a model with
            several outputs; `None`: zeros.
        loss: Loss of the training step; `None`: the model's own if it is compiled and there are
            targets, else the mean squared error.
        batch_size: Integer, inputs at a time; the training step takes one batch.

    Returns:
        `Diagnosis`: print it, or call its `raise_if("error")`, which raises an `UnhealthyMixture`
        with the findings as its message.

    Raises:
        ValueError: if the model has no mixture, inputs are empty or not finite, there is not one
            target for each input, or targets do not fit the mean squared error and no loss is
            given.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from moe_keras import DenseMoE, SoftmaxGate
    >>> from moe_keras.routing import diagnose
    >>> mixture = DenseMoE([keras.layers.Dense(1), keras.layers.Dense(1)], SoftmaxGate(2))
    >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    >>> mixture.build(x.shape)
    >>> diagnose(mixture, x).worst
    'ok'
    >>> mixture.gate.set_weights([np.zeros((3, 2)), np.array([9.0, -9.0])])
    >>> diagnose(mixture, x).findings[0].check
    'collapse'
    """
    x = checked_inputs(x)
    y = None if y is None else as_arrays(y)
    for targets in keras.tree.flatten(y):
        if targets is not None and targets.shape[:1] != (count(x),):
            raise ValueError(
                f"Expected a target for each of {count(x)} inputs. Received: {targets.shape[:1]}"
            )
    findings = []
    found = routes(model, x, batch_size)
    for route in found:
        findings += _findings(route.mixture, _OF_A_ROUTE if _sound(route) else (_finite,), route)
    if all(_finite(route)[0] == "ok" for route in found):
        y = None if y is None else rows(y, 0, batch_size)
        step = _Step(model, rows(x, 0, batch_size), y, loss)
        step.of_weight_1 = {id(route.mixture) for route in found if _weighs_1(route)}
        for mixture in mixtures_in(model):
            findings += _findings(mixture, (_gate_learns, _frozen_stay), mixture, step)
    return Diagnosis(findings)


def _findings(mixture, checks, *measured):
    """What the checks say of one mixture. A check that does not apply says `None`."""
    results = [check(*measured) for check in checks]
    return [Finding(one[0], mixture.name, *one[1:]) for one in results if one is not None]


def _sound(route):
    return np.isfinite(route.gate["probabilities"]).all()


def _finite(route):
    for what, values in (("output", route.output), *route.gate.items()):
        count = int((~np.isfinite(values.astype("float64"))).sum())
        if count:
            advice = "look for a softmax over -inf, a division by zero or too large a learning rate"
            return "error", "finite", f"{count} values of the {what} are NaN or inf: {advice}"
    return "ok", "finite", "all numbers are finite"


def _weighs_1(route):
    weights = route.gate.get("weights", route.gate["probabilities"])
    return weights.shape[-1] == 1 and bool((np.abs(weights - 1) <= ROUNDING).all())


def _sums(route):
    sums = route.gate["probabilities"].sum(axis=-1)
    worst = sums.ravel()[np.nanargmax(np.abs(sums - 1))] if np.isfinite(sums).any() else np.nan
    short = getattr(route.mixture.gate, "compute_dtype", None) in ("float16", "bfloat16")
    if not abs(worst - 1) <= (SUM_TOLERANCE_16_BITS if short else SUM_TOLERANCE):
        advice = "take the softmax over the last axis, that of the experts"
        if isinstance(route.mixture.gate, GroupGate):
            advice = "its classifier gives no probabilities; put a softmax behind it"
        return "error", "weights", f"weights sum to {worst:.3g} over the experts, not 1: {advice}"
    return "ok", "weights", "weights sum to 1 over the experts"


def _collapse(route):
    if route.num_experts == 1:
        return None
    load, names = route.load(), route.experts()
    most = int(np.nanargmax(load))
    ratio = load[most] * route.num_experts
    text = f"'{names[most]}' has {load[most]:.1%} of the load, {ratio:.1f} times the mean"
    if load[most] > COLLAPSED:
        advice = "add a load-balancing loss, or balance by biases"
        return "error", "collapse", f"{text}: the gate has collapsed; {advice}"
    if ratio > UNEVEN:
        return "warning", "collapse", f"{text}: give the load-balancing loss more weight"
    return "ok", "collapse", text


def _dead(route):
    load, names = route.load(), route.experts()
    dead = [
        name for name, share in zip(names, load, strict=True) if share < DEAD / route.num_experts
    ]
    if dead:
        advice = "they learn nothing; balance the load, or use fewer experts"
        few = ", ".join(dead[:5]) + (", ..." if len(dead) > 5 else "")
        text = f"{len(dead)} of {len(names)} experts are asked for nothing ({few}): {advice}"
        return "warning", "dead experts", text
    return "ok", "dead experts", "every expert is asked for something"


def _constant(route):
    probabilities = route.gate["probabilities"]
    if len(probabilities) < 2 or route.num_experts == 1:
        return None
    spread = float(probabilities.std(axis=0).max())
    if spread < CONSTANT:
        advice = "it does not look at them; is it trained, are its inputs scaled?"
        text = f"the gate says the same for all {len(probabilities)} inputs: {advice}"
        return "warning", "gate", text
    return "ok", "gate", f"the gate's weights differ between inputs (by {spread:.2g})"


def _twins(route):
    members = [expert.get_weights() for expert in route.mixture.experts]
    names = route.experts()
    for e, one in enumerate(members):
        for f in range(e):
            other = members[f]
            same = len(one) == len(other) and all(
                a.shape == b.shape and np.array_equal(a, b) for a, b in zip(one, other, strict=True)
            )
            if one and same:
                advice = "they began alike and may stay so; give each its own seed"
                text = f"'{names[f]}' and '{names[e]}' have the same weights: {advice}"
                return "warning", "experts", text
    return "ok", "experts", "no two experts have the same weights"


def _overflow(route):
    if "kept" not in route.gate:
        return None
    chosen = route.gate["indices"] >= 0  # not padding, which no expert answers
    dropped = float((~route.gate["kept"])[chosen].mean()) if chosen.any() else 0.0
    text = f"{dropped:.1%} of the choices were dropped"
    advice = "raise capacity_factor, balance the load, or dispatch='grouped', which drops nothing"
    if dropped > LARGE_OVERFLOW:
        return "error", "overflow", f"{text}: {advice}"
    if dropped > OVERFLOW:
        return "warning", "overflow", f"{text}: {advice}"
    return "ok", "overflow", text


_OF_A_ROUTE = (_finite, _sums, _collapse, _dead, _constant, _twins, _overflow)


class _Probe(keras.Model):
    """The model, to be trained without a change to how it was compiled itself."""

    def __init__(self, model, added):
        super().__init__(name="probe")
        self.model = model
        self.added = added

    @property
    def losses(self):
        return super().losses if self.added else []

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)


class _Step:
    """What one step of training moves. All is put back.

    Attributes:
        by_loss: Dictionary of the variables that move by the loss alone: from their identities to
            how far they move.
        by_all: The same of those that move once the model's added losses count too.
        of_weight_1: Set of the identities of the mixtures whose one weight is always 1.
    """

    of_weight_1 = frozenset()

    def __init__(self, model, x, y, loss):
        outputs = model(x, training=False)
        if y is None:
            y = keras.tree.map_structure(lambda output: np.zeros(output.shape), outputs)
        elif loss is None:
            loss = getattr(model, "loss", None)
            if loss is None:
                keras.tree.assert_same_structure(y, outputs)
                keras.tree.map_structure(
                    lambda of, output: _check_targets(of.shape, tuple(output.shape)), y, outputs
                )
        loss = "mse" if loss is None else loss
        if keras.tree.is_nested(outputs) and not keras.tree.is_nested(loss):
            loss = keras.tree.map_structure(lambda _: loss, outputs)  # one for each output
        self.by_loss = _moved(model, x, y, loss, added=False)
        self.by_all = _moved(model, x, y, loss, added=True)


def _check_targets(targets, outputs):
    if targets not in (outputs, outputs[:-1] if outputs[-1:] == (1,) else outputs):
        raise ValueError(
            f"Expected targets of the outputs' shape {outputs}, or a loss that takes others, such "
            f"as loss='sparse_categorical_crossentropy'. Received: targets of shape {targets}"
        )


def _moved(model, x, y, loss, added):
    """How far one step of training moves each variable that it moves, by their identities."""
    probe = _Probe(model, added)
    probe(x)
    # Gradients as such would need one way a backend; a step of plain descent shows them all.
    probe.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, jit_compile=False)
    saved = [(variable, keras.ops.convert_to_numpy(variable)) for variable in model.variables]
    try:
        probe.train_on_batch(x, y)
        ways = {id(variable): _way(before, variable) for variable, before in saved}
        return {variable: way for variable, way in ways.items() if way != 0}
    finally:
        for variable, before in saved:
            variable.assign(before)


def _way(before, variable):
    """The largest change of a number in a variable; NaN if one of them is."""
    after = keras.ops.convert_to_numpy(variable).astype("float64")
    return np.abs(after - before.astype("float64")).max(initial=0)


def _moved_really(ways):
    """The identities of what moves by more than rounding.

    The softmax of one number has no gradient, but for rounding, which not every processor spares.
    """
    largest = max((way for way in ways.values() if np.isfinite(way)), default=0)
    return {variable for variable, way in ways.items() if not way <= ROUNDING * largest}


def _gate_learns(mixture, step):
    name = mixture.gate.name
    weights = {id(weight) for weight in mixture.gate.trainable_variables}
    by_loss, by_all = step.by_loss.keys(), step.by_all.keys()
    if id(mixture) in step.of_weight_1:
        by_loss, by_all = _moved_really(step.by_loss), _moved_really(step.by_all)
    if not weights:
        return "ok", "gradient", f"the gate '{name}' has nothing to learn"
    if weights & by_loss:
        return "ok", "gradient", f"a gradient reaches the gate '{name}'"
    advice = "is its choice hard, its weight always 1 (softmax after top-1), its loss cut off?"
    if weights & by_all:
        text = f"the gate '{name}' learns from an added loss alone, not from the model's: {advice}"
        return "warning", "gradient", text
    return "error", "gradient", f"no gradient reaches the gate '{name}': {advice}"


def _frozen_stay(mixture, step):
    frozen = [
        e for e in mixture.experts.layers_inside() if isinstance(e, FrozenExpert) or not e.trainable
    ]
    if not frozen:
        return None
    for expert in frozen:
        if any(
            id(variable) in step.by_all
            for variable in expert.variables
            if "seed" not in variable.path
        ):
            advice = "wrap it in a FrozenExpert, which also calls it with training=False"
            text = f"the frozen expert '{expert.name}' moves in training: {advice}"
            return "error", "frozen experts", text
    return "ok", "frozen experts", f"{len(frozen)} frozen experts do not move"
