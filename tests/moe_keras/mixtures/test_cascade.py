import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import FrozenExpert, StackedMLP
from moe_keras.gates import GroupGate, SoftmaxGate, TopKGate
from moe_keras.mixtures import CapacityDispatcher, CascadeMoE, DenseMoE
from moe_keras.routing import diagnose, explain

BACKEND = keras.backend.backend()
GROUPS = [(0, 2), (1,)]


def classifier(units=3):
    return keras.layers.Dense(units, "softmax")


def experts():
    return [classifier(), classifier()]


def switch():
    return GroupGate(keras.layers.Identity(), GROUPS, hard=True)


def margins(p):
    largest = np.sort(p, axis=1)
    return largest[:, -1] - largest[:, -2]


def entropies(p):
    return 1 + (p * np.log(p)).sum(axis=1) / np.log(p.shape[1])


def oracle(confidence=margins):
    """The cascade in NumPy: every expert on every input, then a choice."""

    def expected(cascade):
        p = to_numpy(cascade.base(ROWS)).astype("float64")
        weights = np.full((len(p), 2), 0.5)
        if cascade.gate is not None:
            groups = np.stack([p[:, list(ids)].sum(axis=1) for ids in GROUPS], axis=1)
            weights = np.eye(2)[groups.argmax(axis=1)] if cascade.gate.hard else groups
        said = np.stack([to_numpy(expert(ROWS)) for expert in cascade.experts], axis=1)
        mixed = np.einsum("be,bec->bc", weights, said)
        b = cascade.base_weight
        unsure = confidence(p) < cascade.threshold
        assert 0 < unsure.sum() < len(p)  # else the case would say little
        return np.where(unsure[:, None], b * p + (1 - b) * mixed, p)

    return expected


def median(base, confidence):
    return float(np.median(confidence(to_numpy(base(ROWS)).astype("float64"))))


@pytest.mark.parametrize("base_weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    "make_gate",
    [lambda: None, switch, lambda: GroupGate(keras.layers.Identity(), GROUPS)],
    ids=["even", "switch", "soft"],
)
def test_as_in_numpy(make_gate, base_weight):
    for name, confidence in (("margin", margins), ("entropy", entropies)):
        base = classifier()
        threshold = median(base, confidence)
        cascade = CascadeMoE(base, experts(), make_gate(), threshold, name, base_weight=base_weight)
        outputs = to_numpy(cascade(ROWS))
        np.testing.assert_allclose(outputs, oracle(confidence)(cascade), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "dispatch",
    ["auto", "dense", CapacityDispatcher(0.5, batch_prioritized=True)],
    ids=["auto", "dense", "share"],
)
def test_contract(dispatch):
    # Everybody is asked, so that one step of training moves every weight.
    threshold = 1 if isinstance(dispatch, CapacityDispatcher) else 2
    run_layer_contract(
        lambda: CascadeMoE(
            classifier(), experts(), SoftmaxGate(2), threshold=threshold, dispatch=dispatch
        ),
        ROWS,
        trainable=8,
        non_trainable=0,
        mask=np.array([1, 1, 0, 1, 0, 1], dtype=bool),
    )


def test_contract_of_a_frozen_base_and_a_stack():
    run_layer_contract(
        lambda: CascadeMoE(
            FrozenExpert(classifier()), StackedMLP(2, intermediate_dim=4, units=3), threshold=2
        ),
        ROWS,
        trainable=4,
        non_trainable=2,
    )


class Counts(keras.layers.Layer):
    """Keeps the number of rows that it was shown, outside of any graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, "softmax")
        self.seen = []

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        self.seen.append(inputs.shape[0])
        return self.dense(inputs)


def asked(threshold, training=False, gate=None, rows=ROWS):
    """How many rows each of two experts saw."""
    counters = [Counts(), Counts()]
    base = classifier()
    cascade = CascadeMoE(base, counters, gate, threshold)
    cascade.build(ROWS.shape)
    for counter in counters:
        counter.seen.clear()
    cascade(rows, training=training)
    return [sum(counter.seen) for counter in counters], to_numpy(base(rows))


def test_experts_run_on_the_deferred_rows_alone():
    keras.utils.set_random_seed(0)
    _, p = asked(0.0)
    keras.utils.set_random_seed(0)
    counts, same = asked(float(np.sort(margins(p))[2:4].mean()))  # between the third and the fourth
    np.testing.assert_array_equal(same, p)
    assert counts == [3, 3]
    assert asked(0.0)[0] == [0, 0]  # nobody
    assert asked(2.0)[0] == [6, 6]  # everybody
    assert asked(2.0, rows=ROWS[:0])[0] == [0, 0]


def test_an_expert_without_weight_does_not_run():
    keras.utils.set_random_seed(0)
    counts, p = asked(2.0, gate=switch())
    first = int((p[:, [0, 2]].sum(axis=1) >= p[:, 1]).sum())
    assert 0 < first < len(ROWS)
    assert counts == [first, len(ROWS) - first]


def test_nobody_asked_is_the_base_to_the_last_bit():
    base = classifier()
    never = CascadeMoE(base, experts(), threshold=0)
    np.testing.assert_array_equal(to_numpy(never(ROWS)), to_numpy(base(ROWS)))


def test_padding_is_never_deferred():
    mask = np.array([1, 0, 1, 0, 1, 1], dtype=bool)
    base = classifier()
    cascade = CascadeMoE(base, experts(), threshold=2)
    outputs, p = to_numpy(cascade(ROWS, mask=mask)), to_numpy(base(ROWS))
    np.testing.assert_allclose(outputs[~mask], p[~mask], rtol=1e-6)
    np.testing.assert_allclose(outputs[mask], to_numpy(cascade(ROWS))[mask], rtol=1e-6)
    indices = to_numpy(cascade.route(ROWS, mask=mask)["indices"])
    assert (indices[~mask] == -1).all() and (indices[mask] == [0, 1]).all()


def over_steps():
    return keras.Sequential([keras.layers.GlobalAveragePooling1D(), classifier()])


def test_a_mask_inside_goes_with_its_input():
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], dtype=bool)
    base, expert = over_steps(), over_steps()
    cascade = CascadeMoE(base, [expert], threshold=2, base_weight=0)
    rows = [to_numpy(cascade(TOKENS[i : i + 1, : n.sum()])) for i, n in enumerate(mask)]
    outputs = to_numpy(cascade(TOKENS, mask=mask))
    np.testing.assert_allclose(outputs, np.concatenate(rows), rtol=1e-5, atol=1e-6)


def test_a_fixed_share_of_the_least_confident():
    share = CapacityDispatcher(0.5, batch_prioritized=True)
    base, (expert, _) = classifier(), experts()
    cascade = CascadeMoE(base, [expert], threshold=1, base_weight=0, dispatch=share)
    p = to_numpy(base(ROWS))
    least = np.argsort(margins(p))[:3]
    expected = p.copy()
    expected[least] = to_numpy(expert(ROWS))[least]
    np.testing.assert_allclose(to_numpy(cascade(ROWS)), expected, rtol=1e-5, atol=1e-6)
    kept = to_numpy(cascade.route(ROWS)["kept"])[:, 0]
    assert sorted(np.flatnonzero(kept)) == sorted(least)


def test_the_route_tells_who_is_asked():
    base = classifier()
    cascade = CascadeMoE(base, experts(), threshold=median(base, margins))
    cascade(ROWS)
    route = {name: to_numpy(tensor) for name, tensor in cascade.route(ROWS).items()}
    deferred = route["confidence"] < cascade.threshold
    np.testing.assert_allclose(route["confidence"], margins(to_numpy(base(ROWS))), atol=1e-6)
    assert (route["indices"][deferred] == [0, 1]).all()
    assert (route["indices"][~deferred] == -1).all()
    assert (route["weights"][deferred] == 0.5).all()
    np.testing.assert_array_equal(route["kept"], route["indices"] >= 0)


def test_it_can_be_explained_and_diagnosed():
    inputs = keras.Input(ROWS.shape[1:])
    model = keras.Model(inputs, CascadeMoE(classifier(), experts(), SoftmaxGate(2))(inputs))
    assert "cascade" in str(explain(model, ROWS[:1])).lower()
    assert diagnose(model, ROWS).findings


def test_base_gate_and_experts_learn_from_what_is_deferred():
    base, (near, far) = classifier(), experts()
    inputs = keras.Input(ROWS.shape[1:])
    gate = SoftmaxGate(2)
    model = keras.Model(inputs, CascadeMoE(base, [near, far], gate, threshold=2)(inputs))
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(ROWS, np.arange(6) % 3, verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

    base, (near, far) = classifier(), experts()
    model = keras.Model(inputs, CascadeMoE(base, [near, far], threshold=0)(inputs))
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    before = [to_numpy(w) for w in near.weights + far.weights]
    model.fit(ROWS, np.arange(6) % 3, verbose=0)
    after = [to_numpy(w) for w in near.weights + far.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_nobody_asked_keeps_statistics_and_losses_finite():
    normalized = keras.Sequential(
        [
            keras.layers.Dense(3, activity_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Softmax(),
        ]
    )
    cascade = CascadeMoE(classifier(), [normalized], threshold=0)
    cascade(ROWS)
    before = [to_numpy(w) for w in normalized.weights]
    for training in (True, False):
        assert np.isfinite(to_numpy(cascade(ROWS, training=training))).all()
        assert all(float(loss) == 0 for loss in cascade.losses)
    for weight, value in zip(normalized.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


def images(classes=3):
    return keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, "softmax"),
        ]
    )


@pytest.mark.parametrize("threshold", [0, 0.1, 2])
def test_of_images_in_predict(rng, threshold):
    pictures = rng.normal(size=(5, 6, 6, 2)).astype("float32")
    inputs = keras.Input((6, 6, 2))
    mixture = DenseMoE(
        [images(), images()], keras.Sequential([keras.layers.Flatten(), SoftmaxGate(2)])
    )
    cascade = CascadeMoE(images(), [mixture], threshold=threshold)
    model = keras.Model(inputs, cascade(inputs))
    for batch_size in (1, 2, 5):
        predicted = model.predict(pictures, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(predicted, to_numpy(model(pictures)), rtol=1e-4, atol=1e-5)


def test_saved_and_loaded(tmp_path):
    inputs = keras.Input(ROWS.shape[1:])
    dispatch = CapacityDispatcher(0.5, batch_prioritized=True)
    cascade = CascadeMoE(
        classifier(), experts(), switch(), 0.25, "entropy", base_weight=0.75, dispatch=dispatch
    )
    model = keras.Model(inputs, cascade(inputs))
    model.save(tmp_path / "cascade.keras")
    again = keras.saving.load_model(tmp_path / "cascade.keras")
    np.testing.assert_array_equal(to_numpy(again(ROWS)), to_numpy(model(ROWS)))
    layer = again.layers[-1]
    assert (layer.threshold, layer.confidence, layer.base_weight) == (0.25, "entropy", 0.75)
    assert layer.dispatch.capacity_factor == 0.5


def cascade_of(base=None, others=None, **arguments):
    return CascadeMoE(base or classifier(), experts() if others is None else others, **arguments)


def with_twin():
    base = classifier()
    return cascade_of(base, [base, classifier()])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cascade_of(others=[]), "at least one expert"),
        (lambda: cascade_of(base=len), "layers or models. Received: <built-in"),
        (with_twin, "twice"),
        (lambda: cascade_of(threshold=-0.1), "threshold .* at least 0. Received: threshold=-0.1"),
        (lambda: cascade_of(base_weight=1.5), "from 0 to 1. Received: base_weight=1.5"),
        (lambda: cascade_of(confidence="logits"), "margin, entropy. Received: .*'logits'"),
        (lambda: cascade_of(dispatch="fast"), "dispatch to be one of auto"),
        (lambda: cascade_of(classifier(4))(ROWS), r"one shape. Received: base .*\(None, 4\)"),
        (lambda: cascade_of(classifier(1))(ROWS), "two classes or more"),
        (lambda: cascade_of(keras.layers.Dense(3))(TOKENS), r"\(B, C\) of two classes"),
        (lambda: cascade_of(gate=SoftmaxGate(3))(ROWS), "a weight for each of 3"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_padding_counts_in_no_loss_of_the_gate():
    keep = np.arange(6) < 3
    cascade = CascadeMoE(
        classifier(), experts(), gate=TopKGate(2, 2, balance_loss=1.0), threshold=2
    )
    cascade(ROWS[:3], training=True)
    alone = float(cascade.losses[0])
    cascade(ROWS[:6], mask=keep, training=True)
    np.testing.assert_allclose(float(cascade.losses[0]), alone, rtol=1e-5)


def test_what_is_not_given_to_experts_is_the_bases():
    p = np.array([[0.6, 0.4]], "float32")
    of_half = keras.layers.Lambda(lambda p: ops.ones_like(p) * np.array([0.25, 0.05], "float32"))
    others = [keras.layers.Rescaling(0.0, offset=o) for o in (1.0, 2.0)]
    cascade = CascadeMoE(keras.layers.Identity(), others, gate=of_half, threshold=2)
    # w = 0.5 * 0.3
    np.testing.assert_allclose(
        to_numpy(cascade(p)), 0.85 * p + 0.5 * (0.25 * 1 + 0.05 * 2), rtol=1e-5
    )
