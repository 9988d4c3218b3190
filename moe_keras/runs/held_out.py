"""The held-out examples of a run as arrays, and which class an output stands for."""

import keras
import numpy as np

MOST_CLASSES = 100_000  # each has a name and a row in the figures


def held_out(x, y):
    """Inputs and labels of a held-out split as arrays.

    Args:
        x: Array or tensor (N, ...); with `y=None` a `tf.data.Dataset`, a `PyDataset` or another
            iterable of batches (x, y).
        y: Labels: whole numbers from 0, (N,) or (N, 1), of any dtype; or one-hot rows (N, C).

    Returns:
        Two arrays, (N, ...) and int64 (N,).

    Raises:
        ValueError: if x is not one array, there is no example, the lengths differ, or the labels
            are no classes.

    >>> held_out([[0.5], [0.25]], [[0, 1], [1, 0]])[1].tolist()
    [1, 0]
    """
    if y is None:
        x, y = _collected(x)
    x, y = _array("x", x), _array("y", y)
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "Expected as many labels as inputs, one or more. "
            f"Received: {len(x)} inputs and {len(y)} labels"
        )
    return x, _classes(y)


def predicted_classes(outputs, from_logits=False):
    """Class that each output stands for.

    Args:
        outputs: Array (N, C), a score for each class, or (N,) or (N, 1), the probability of class 1
            of two.
        from_logits: Boolean, whether a single output is a logit, which 0 parts, and not 0.5.

    Returns:
        Integer array (N,).

    >>> predicted_classes(np.array([[0.2], [0.9]])).tolist()
    [0, 1]
    """
    if is_binary(outputs):
        return (outputs.reshape(-1) > (0 if from_logits else 0.5)).astype(int)
    return outputs.argmax(axis=-1)


def is_binary(outputs):
    """Whether outputs are one number each, for two classes."""
    return outputs.ndim == 1 or outputs.shape[-1] == 1


def num_classes(outputs):
    """Number of classes that outputs tell apart.

    Raises:
        ValueError: if outputs are not one row, or one number, for each example.
    """
    if not 1 <= outputs.ndim <= 2:
        raise ValueError(
            "Expected a classifier, with outputs (N, C) or (N, 1). "
            f"Received: outputs of shape (N, {', '.join(map(str, outputs.shape[1:]))})"
        )
    return 2 if is_binary(outputs) else outputs.shape[-1]


def _array(name, value):
    if isinstance(value, dict | keras.utils.PyDataset) or hasattr(value, "as_numpy_iterator"):
        raise ValueError(
            f"Expected {name} to be one array; a dataset of batches (x, y) goes without y. "
            f"Received: {name} of type {type(value).__name__}"
        )
    try:
        array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
        array = np.asarray(array)
        if array.dtype.name == "bfloat16":  # to NumPy, a type of its own
            array = array.astype("float32")
    except Exception as error:  # ragged lists, symbolic or sparse tensors: each in its own way
        raise ValueError(
            f"Expected {name} to be one array. Received: {type(value).__name__} ({error})"
        ) from error
    if array.ndim == 0 or array.dtype.kind == "O":
        raise ValueError(
            f"Expected {name} to be one array, (N, ...). Received: {type(value).__name__} of shape "
            f"{array.shape}, dtype {array.dtype}"
        )
    return array


def _collected(batches):
    """The arrays in a dataset of batches (x, y), or of single examples."""
    if _is_infinite(batches):
        raise ValueError("Expected a dataset that ends; take(n) ends it. Received: an infinite one")
    if isinstance(batches, keras.utils.PyDataset):
        batches = map(batches.__getitem__, range(batches.num_batches))
    elif not hasattr(batches, "__iter__") or isinstance(batches, np.ndarray | dict | str):
        raise ValueError(
            "Expected y, the labels; only a dataset of batches (x, y) goes without. "
            f"Received: x of type {type(batches).__name__} and y=None"
        )
    xs, ys = [], []
    for batch in batches:
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3):
            raise ValueError(
                "Expected a dataset of batches (x, y). Received: batches of type "
                f"{type(batch).__name__}"
            )
        if any(isinstance(part, dict) for part in batch[:2]):
            raise ValueError(
                "Expected a dataset of batches (x, y), each one array. Received: batches with "
                f"{type(batch[0]).__name__} and {type(batch[1]).__name__}"
            )
        x, y = (np.asarray(keras.ops.convert_to_numpy(part)) for part in batch[:2])
        alone = y.ndim == 0 or (y.ndim == 1 and x.shape[:1] != y.shape)  # one example, not a batch
        xs.append(x[None] if alone else x)
        ys.append(y[None] if alone else y)
    if not ys:
        raise ValueError("Expected one input or more. Received: a dataset without any")
    return np.concatenate(xs), np.concatenate(ys)


def _is_infinite(batches):
    if isinstance(batches, keras.utils.PyDataset):
        return batches.num_batches is None
    cardinality = getattr(batches, "cardinality", None)
    return callable(cardinality) and int(cardinality()) == -1


def _classes(y):
    """Labels as whole numbers from 0."""
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind not in "biuf" or not ((y == 0) | (y == 1)).all() or (y.sum(1) != 1).any():
            raise ValueError(
                "Expected labels of one class each: whole numbers from 0, or one-hot rows with a "
                f"single 1. Received: y of shape {y.shape} and dtype {y.dtype} with other rows "
                "(several labels an example, several outputs and regression are not recorded)"
            )
        return y.argmax(axis=1)
    labels = y.reshape(len(y), -1)
    if y.dtype.kind not in "biuf" or labels.shape[1] != 1:
        raise ValueError(
            "Expected a label for each example, (N,) or (N, 1), or one-hot rows (N, C). "
            f"Received: y of shape {y.shape} and dtype {y.dtype}"
        )
    labels = labels[:, 0]
    if y.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels % 1 == 0).all()):
        raise ValueError(
            "Expected labels that are classes, whole numbers from 0. Received: y with other "
            f"numbers, {labels.min():.4g} to {labels.max():.4g} (regression is not recorded)"
        )
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        wrong, bound = labels.min(), ""
        if wrong >= 0:
            wrong, bound = labels.max(), f" and less than {MOST_CLASSES}"
        raise ValueError(
            f"Expected labels from 0{bound}. Received: y with label {wrong:.10g}; number the "
            "classes from 0, or leave out what has no label"
        )
    return labels.astype("int64")
