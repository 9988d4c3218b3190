"""Cache of the outputs of frozen experts."""

import hashlib
import warnings
from pathlib import Path

import keras
import numpy as np

from moe_keras.arguments import positive_integer
from moe_keras.npz import in_numpys_dtype, read_npz, write_npz
from moe_keras.training.fingerprint import NoFingerprint, content_of, fingerprint

PROBES = 8  # images that are put to the expert before a kept answer is given
# Part of the largest output by which an answer in batches of another size may differ.
ROUNDING = 1e-3
HALF_ROUNDING = 0.05  # float16 and bfloat16


class FrozenOutputs:
    """Cache of frozen experts' outputs, in memory and on disk.

    A gate over frozen experts sees the same outputs in every epoch. Trained on kept ones, by
    `Combine` and the same gate, it needs seconds; `assemble` then makes the whole mixture.

    Outputs are kept under a digest of the images and of all that decides the expert's answer:
    weights, attributes, sublayers, the code of its classes and functions. Before kept outputs are
    given, the expert answers a few of the images again; if it disagrees, all are computed anew. An
    expert that cannot be written down in a digest is run each time. So whoever changes anything
    gets new outputs, never stale ones. A damaged file is made anew; where none can be written,
    outputs are kept in memory alone. Both exceptions are warned of once.

    Args:
        folder: Path of the folder for the files.
        batch_size: Integer, images at a time.
        verbose: Integer, 1 for a progress bar while an expert runs, 0 for none.

    Raises:
        ValueError: if `batch_size` is not a whole number of at least 1.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from moe_keras.experts import FrozenExpert, vgg
    >>> from moe_keras.training import FrozenOutputs
    >>> expert = FrozenExpert(vgg(3, widths=(4,)))
    >>> outputs = FrozenOutputs(tempfile.mkdtemp(), verbose=0)
    >>> outputs(expert, np.zeros((5, 32, 32, 3), "uint8")).shape
    (5, 3)
    """

    def __init__(self, folder="build/frozen-outputs", batch_size=500, verbose=1):
        self.folder = Path(folder)
        self.batch_size = positive_integer("batch_size", batch_size)
        self.verbose = verbose
        self._kept = {}
        self._warned = set()

    def __call__(self, expert, images):
        """Outputs of the expert for the images, computed once.

        Args:
            expert: Built layer or model without weights to train, such as a `FrozenExpert`.
            images: Array (N, ...), N >= 1, what the expert takes.

        Returns:
            Array (N, ...), read-only.

        Raises:
            ValueError: if the expert is no layer, is not frozen, or gives anything but one tensor;
                if there are no images.
        """
        images = _numbers(images)
        _check_frozen(expert, images)
        key = self._key(expert, images)
        outputs = self._kept.get(key)
        if outputs is None and key is not None:
            outputs = _read(self.folder / f"{key}.npz", len(images))
        if outputs is None or not _agrees(expert, images, outputs):
            outputs = self._run(expert, images)
            if key is not None:
                self._write(self.folder / f"{key}.npz", outputs)
        outputs.flags.writeable = False
        if key is not None:
            self._kept[key] = outputs
        return outputs

    def _key(self, expert, images):
        """Digest of all that decides the outputs; `None` if it cannot be known."""
        try:
            digest = hashlib.sha256(fingerprint(expert).encode())
        except NoFingerprint as error:
            self._warn(
                expert.name,
                f"Nothing is kept for '{expert.name}', which is run each time: it holds what "
                f"cannot be fingerprinted. {error}",
            )
            return None
        digest.update(f"{images.dtype} {images.shape} ".encode())
        digest.update(content_of(images))
        return digest.hexdigest()

    def _write(self, path, outputs):
        try:
            write_npz(path, {"outputs": outputs}, compress=False)
        except OSError as error:
            self._warn(
                "disk",
                f"Outputs cannot be kept in {self.folder} ({error}): they are computed again in "
                "the next process. Make room there, or choose another folder.",
            )

    def _warn(self, about, message):
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(message, stacklevel=4)  # the line that asked for outputs

    def _run(self, expert, images):
        inputs = keras.Input(images.shape[1:], dtype=str(images.dtype))
        model = keras.Model(inputs, expert(inputs, training=False))
        outputs = model.predict(images, batch_size=self.batch_size, verbose=self.verbose)
        if not isinstance(outputs, np.ndarray):
            raise ValueError(
                f"Expected an expert that gives one tensor. Received: '{expert.name}', which gives "
                f"{type(outputs).__name__}"
            )
        return in_numpys_dtype(outputs)


def assemble(experts, head, input_shape=(32, 32, 3)):
    """Assemble a mixture from frozen experts and a head trained on their cached outputs.

        y = head(E_1(x), ..., E_n(x))

    Args:
        experts: List of layers or models.
        head: Model that takes a list of the experts' outputs, in their order.
        input_shape: Tuple of integers, shape of one image.

    Returns:
        `keras.Model` from images (B, height, width, channels) to the head's output.

    Example:

    >>> from moe_keras.experts import FrozenExpert, vgg
    >>> from moe_keras.gates import PerClassGate
    >>> from moe_keras.mixtures import Combine
    >>> from moe_keras.training import assemble
    >>> experts = [FrozenExpert(vgg(3, widths=(4,))) for _ in range(2)]
    >>> outputs = [keras.Input((3,)), keras.Input((3,))]
    >>> merged = keras.ops.concatenate(outputs, axis=-1)  # (B, E * C)
    >>> weights = PerClassGate(3, 2)(merged)["probabilities"]
    >>> head = keras.Model(outputs, Combine()(weights, outputs))
    >>> mixture = assemble(experts, head)
    >>> mixture.input_shape, mixture.output_shape
    ((None, 32, 32, 3), (None, 3))
    """
    images = keras.Input(input_shape)
    return keras.Model(images, head([expert(images) for expert in experts]))


def _numbers(images):
    """The images as an array of numbers, at least one image."""
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise ValueError(
            f"Expected images in one array (N, ...). Received: {type(images).__name__} ({error})"
        ) from error
    # V: to NumPy, bfloat16 is a type of its own.
    if array.ndim == 0 or len(array) == 0 or array.dtype.kind not in "biufV":
        raise ValueError(
            "Expected one or more images in an array (N, ...) of numbers. Received: shape "
            f"{array.shape}, dtype {array.dtype}"
        )
    return array


def _check_frozen(expert, images):
    if not isinstance(expert, keras.Layer):
        raise ValueError(
            "Expected a Keras layer or model; wrap a function in a layer. Received: "
            f"{type(expert).__name__}"
        )
    if not expert.built:
        expert(images[:1])
    if expert.trainable_weights:
        raise ValueError(
            "Expected a frozen expert: wrap it in FrozenExpert. Received: "
            f"'{expert.name}', which has {len(expert.trainable_weights)} weights to train"
        )


def _agrees(expert, images, outputs):
    """Whether the expert, asked now, says of a few images what is kept."""
    few = np.unique(np.linspace(0, len(images) - 1, PROBES).astype(int))
    answer = expert(images[few], training=False)
    if not keras.ops.is_tensor(answer) or tuple(answer.shape) != (len(few), *outputs.shape[1:]):
        return False
    now, kept = (
        np.asarray(keras.ops.convert_to_numpy(each)).astype("complex128")
        for each in (answer, outputs[few])
    )
    half = any("16" in str(layer.compute_dtype) for layer in expert._flatten_layers())
    scale = np.abs(kept[np.isfinite(kept)]).max(initial=0)
    tolerance = (HALF_ROUNDING if half else ROUNDING) * scale
    return bool(np.allclose(now, kept, rtol=0, atol=tolerance, equal_nan=True))


def _numeric(array):
    return array.dtype.kind in "biufc"


def _read(path, count):
    """The outputs in a file; `None` if there is none, or a damaged one."""

    def check(headers):  # before numbers are read, of which a damaged file may promise too many
        named = list(headers) == ["outputs"]
        if (
            not named
            or headers["outputs"].shape[:1] != (count,)
            or not _numeric(headers["outputs"])
        ):
            raise ValueError(f"Expected outputs for {count} images. Received: {headers}")

    try:
        return read_npz(path, check=check)["outputs"]
    except (OSError, ValueError):
        return None
