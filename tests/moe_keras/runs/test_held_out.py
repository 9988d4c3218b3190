"""What a `RunRecorder` takes from any `fit`, what it makes of it, and what it refuses first."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import moe_keras
from moe_keras.runs import RunRecorder
from moe_keras.runs.held_out import held_out
from moe_keras.runs.recorder import best_epoch

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 24)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]


class Counted(keras.utils.PyDataset):
    """As Keras would have it: `num_batches` in place of a length; `None` for no end."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    @property
    def num_batches(self):
        return self.number

    def __getitem__(self, index):
        return Batches()[index]


def sliced(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


GOOD = {
    "a list": (X.tolist(), Y.tolist()),
    "tensors": (tf.constant(X), tf.constant(Y)),
    "a column": (X, Y[:, None]),
    "float": (X, Y.astype("float32")),
    "uint8": (X, Y.astype("uint8")),
    "one-hot": (X, np.eye(3)[Y]),
    "one-hot tensor": (X, tf.one_hot(Y, 3)),
    "batches": (sliced().batch(5), None),
    "examples": (sliced(), None),
    "one-hot batches": (sliced(y=np.eye(3)[Y]).batch(5), None),
    "weighted batches": (sliced().batch(5).map(lambda x, y: (x, y, y)), None),
    "a PyDataset": (Batches(), None),
    "a PyDataset that counts itself": (Counted(3), None),
    "one-hot examples": (sliced(y=np.eye(3)[Y]), None),
    "examples with a column": (sliced(y=Y[:, None]), None),
    "bfloat16": (X, tf.cast(Y, "bfloat16")),
    "pairs": ([(X[:9], Y[:9]), (X[9:], Y[9:])], None),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_form_of_the_same_examples(name):
    x, y = held_out(*GOOD[name])
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert y.dtype.kind == "i"


BAD = {
    "regression": (X, X[:, 0], "regression is not recorded"),
    "targets": (X, X[:, :2], "regression are not recorded"),
    "several labels": (X, np.ones((24, 3)), "several labels"),
    "-1": (X, np.where(Y == 2, -1, Y), "label -1"),
    "NaN": (X, np.where(Y == 2, np.nan, Y), "other numbers"),
    "words": (X, Y.astype(str), "dtype <U"),
    "tokens": (X, np.zeros((24, 3, 2)), r"shape \(24, 3, 2\)"),
    "two inputs": ({"a": X, "b": X}, Y, "x of type dict"),
    "two outputs": (X, {"a": Y, "b": Y}, "y of type dict"),
    "ragged": ([[1], [1, 2]], Y[:2], "x to be one array"),
    "a dataset and labels": (sliced(), Y, "goes without y"),
    "no labels": (X, None, "Expected y"),
    "an infinite dataset": (sliced().repeat(), None, "take"),
    "a PyDataset without end": (Counted(None), None, "take"),
    "batches of several inputs": (sliced({"a": X, "b": X}).batch(5), None, "each one array"),
    "too large": (X, np.where(Y == 2, 1e30, Y), r"less than .*label 1e\+30"),
    "larger than int64": (X, np.where(Y == 2, 2**63, Y).astype("uint64"), "less than"),
    "an empty dataset": (sliced().take(0), None, "without any"),
    "inputs alone": (tf.data.Dataset.from_tensor_slices(X), None, r"batches \(x, y\)"),
    "nothing": (X[:0], Y[:0], "0 inputs and 0 labels"),
    "other lengths": (X, Y[1:], "24 inputs and 23 labels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_labeled_example_is_refused_by_name(tmp_path, name):
    x, y, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        RunRecorder(tmp_path / "run", x, y)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_names": "ab"}, "name for each label from 0 to 2"),
        ({"class_names": ["a", "b", "\ud800"]}, "class_names of whole characters"),
        ({"source": "\udcff.npz"}, "source of whole characters"),
        ({"assigned": [[1, 0], [0, 1]]}, r"assigned of shape \(C, E\) = \(3, E\)"),
        ({"assigned": [1, 0, 1]}, "assigned of shape"),
        ({"assigned": [[0.5, 0.5]] * 3}, "of 0 and 1"),
        ({"split": "held/out"}, "split"),
        ({"split": "../x"}, "split"),
        ({"split": ""}, "split"),
        ({"split": "[a]"}, "split"),
        ({"config": {"seed": np.int64(3)}}, "what JSON can hold"),
        ({"config": {"when": object()}}, "what JSON can hold"),
        ({"config": {(1, 2): 3}}, "what JSON can hold"),
    ],
)
def test_an_argument_that_will_not_do_is_refused_first(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        RunRecorder(tmp_path / "run", X, Y, **options)
    assert not (tmp_path / "run" / "config.json").exists()


def mixture(units, activation, experts=2):
    parts = [keras.layers.Dense(units, activation=activation) for _ in range(experts)]
    return keras.Sequential(
        [keras.Input((6,)), moe_keras.DenseMoE(parts, moe_keras.SoftmaxGate(experts))]
    )


def fit(folder, model, loss, x, y, targets=None, **options):
    model.compile("adam", loss, metrics=["accuracy"])
    recorder = RunRecorder(folder, x, y, monitor="loss", **options)
    targets = y if targets is None else targets
    model.fit(x, targets, epochs=1, callbacks=[recorder], verbose=0)
    return recorder


@pytest.mark.parametrize(
    ("activation", "loss", "cut"),
    [
        ("sigmoid", "binary_crossentropy", 0.5),
        (None, keras.losses.BinaryCrossentropy, 0.0),
    ],
)
def test_one_output_is_one_of_two_classes(tmp_path, no_figures, activation, loss, cut):
    model, labels = mixture(1, activation), Y % 2
    loss = loss if isinstance(loss, str) else loss(from_logits=True)
    recorder = fit(tmp_path, model, loss, X, labels)
    expected = (np.ravel(model(X)) > cut).astype(int)
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(recorder.seen.predictions, expected)
    assert recorder.seen.accuracy() == np.mean(expected == labels)
    assert recorder.class_names == ["0", "1"]
    assert recorder.folder.config()["data"]["class_names"] == ["0", "1"]


def test_one_hot_labels_in_fit_and_in_the_recorder(tmp_path, no_figures):
    recorder = fit(
        tmp_path, mixture(3, "softmax"), "categorical_crossentropy", X, np.eye(3)[Y], rows=48
    )
    np.testing.assert_array_equal(recorder.seen.labels, Y)


def test_labels_that_the_split_happens_to_lack_have_numbers(tmp_path, no_figures):
    recorder = fit(tmp_path, mixture(5, "softmax"), "sparse_categorical_crossentropy", X, Y * 0 + 1)
    assert recorder.class_names == list("01234")


def two_outputs():
    x = keras.Input((6,))
    parts = [keras.layers.Dense(3, activation="softmax") for _ in range(2)]
    answer = moe_keras.DenseMoE(parts, moe_keras.SoftmaxGate(2))(x)
    return keras.Model(x, {"a": answer, "b": keras.layers.Dense(2)(x)})


def token_outputs():
    parts = [keras.layers.Dense(3) for _ in range(2)]
    mix = moe_keras.DenseMoE(parts, moe_keras.SoftmaxGate(2))
    return keras.Sequential([keras.Input((6,)), keras.layers.Reshape((2, 3)), mix])


@pytest.mark.parametrize(
    ("make", "loss", "options", "message"),
    [
        (two_outputs, {"a": "mse", "b": "mse"}, {}, r"several outputs \(a, b\)"),
        (token_outputs, "mse", {}, r"outputs of shape \(N, 2, 3\)"),
        (lambda: mixture(1, "sigmoid"), "mse", {}, "2 classes apart by one output"),
        (lambda: mixture(2, "softmax"), "mse", {}, "label 2"),
        (lambda: mixture(4, None), "mse", {"class_names": "abc"}, "model's 4 classes"),
        (lambda: mixture(3, None), "mse", {"assigned": np.eye(3)}, "each of 2 experts"),
        (
            lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]),
            "mse",
            {},
            "a model with a mixture",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_it_trains(
    tmp_path, no_figures, make, loss, options, message
):
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "run", model, loss, X, Y, **options)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("values", list(itertools.permutations([np.nan, 1.0, 3.0])))
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_nan_is_never_best(values, metric):
    history = [{metric: value} for value in values]
    best = (np.nanargmin if metric == "loss" else np.nanargmax)(values)
    assert best_epoch(history, metric) == best + 1
    assert best_epoch([{metric: np.nan}], metric) == 1


@pytest.mark.parametrize(
    "history", [[{}, {"val_loss": 2.0}], [{"val_loss": np.nan}, {"val_loss": 2.0}, {}]]
)
def test_an_epoch_without_the_metric_is_never_best(history):
    assert best_epoch(history, "val_loss") == 2


@pytest.mark.parametrize("monitor", ["router_entropy", "load_1"])
def test_the_routers_own_metrics_may_say_which_epoch_is_best(tmp_path, no_figures, monitor):
    model = mixture(3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy")
    recorder = RunRecorder(tmp_path, X, Y, monitor=monitor)
    model.fit(X, Y, epochs=2, callbacks=[recorder], verbose=0)
    assert [monitor in row for row in recorder.history] == [True, True]


def test_an_epoch_may_go_without_validation(tmp_path, no_figures):
    model = mixture(3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy")
    recorder = RunRecorder(tmp_path, X, Y, monitor="val_loss")
    options = {"validation_data": (X, Y), "validation_freq": [1, 3]}
    model.fit(X, Y, epochs=3, callbacks=[recorder], verbose=0, **options)
    assert ["val_loss" in row for row in recorder.history] == [True, False, True]
    assert len(recorder.folder.metrics()["val_loss"]) == 3
