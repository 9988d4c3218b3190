"""Frozen experts run once: what they said is kept."""

import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from moe_keras.arguments import positive_integer
from moe_keras.files import replacing


class FrozenOutputs:
    """Runs a frozen expert over images once, and keeps its answers in memory and on disk.

    A gate over frozen experts sees the same outputs in every epoch. Trained on kept ones, by
    `Combine` and the same gate, it needs seconds; `assemble` then makes the whole mixture.

    Answers are kept under digests of the expert's weights, of its architecture and of the images:
    whoever changes one of them gets new answers, never stale ones. A damaged file is made anew.

    Args:
        folder: where the files go.
        batch_size: images at a time.
        verbose: 1 shows a progress bar while an expert runs, 0 nothing.

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

    def __call__(self, expert, images):
        """What the expert says about the images.

        Args:
            expert: a built layer or model without weights to train, such as a `FrozenExpert`.
            images: array (N, ...), what the expert takes.

        Returns:
            Array (N, ...), read-only.

        Raises:
            ValueError: if the expert is not frozen, or gives anything but one tensor.
        """
        images = np.asarray(images)
        if not expert.built:
            expert(images[:1])
        if expert.trainable_weights:
            raise ValueError(
                "Expected a frozen expert: wrap it in FrozenExpert. Received: "
                f"'{expert.name}', which has {len(expert.trainable_weights)} weights to train"
            )
        key = _digest(expert, images)
        if key not in self._kept:
            path = self.folder / f"{key}.npz"
            said = _read(path, len(images))
            if said is None:
                said = self._run(expert, images)
                with replacing(path) as temporary, open(temporary, "wb") as file:
                    np.savez(file, said=said)
            said.flags.writeable = False
            self._kept[key] = said
        return self._kept[key]

    def _run(self, expert, images):
        inputs = keras.Input(images.shape[1:], dtype=str(images.dtype))
        model = keras.Model(inputs, expert(inputs, training=False))
        said = model.predict(images, batch_size=self.batch_size, verbose=self.verbose)
        if not isinstance(said, np.ndarray):
            raise ValueError(
                f"Expected an expert that gives one tensor. Received: '{expert.name}', which gives "
                f"{type(said).__name__}"
            )
        return said


def assemble(experts, head, input_shape=(32, 32, 3)):
    """The whole mixture, from a head that was trained on the experts' kept outputs.

        y = head(E_1(x), ..., E_n(x))

    Args:
        experts: list of layers or models.
        head: model of a list of the experts' outputs, in their order.
        input_shape: of one image.

    Returns:
        keras.Model from images (B, height, width, channels) to what the head gives.

    Example:

    >>> from moe_keras.experts import FrozenExpert, vgg
    >>> from moe_keras.gates import PerClassGate
    >>> from moe_keras.mixtures import Combine
    >>> from moe_keras.training import assemble
    >>> experts = [FrozenExpert(vgg(3, widths=(4,))) for _ in range(2)]
    >>> said = [keras.Input((3,)), keras.Input((3,))]
    >>> merged = keras.ops.concatenate(said, axis=-1)  # (B, E * C)
    >>> weights = PerClassGate(3, 2)(merged)["probabilities"]
    >>> head = keras.Model(said, Combine()(weights, said))
    >>> mixture = assemble(experts, head)
    >>> mixture.input_shape, mixture.output_shape
    ((None, 32, 32, 3), (None, 3))
    """
    images = keras.Input(input_shape)
    return keras.Model(images, head([expert(images) for expert in experts]))


def _digest(expert, images):
    """One name for the expert's weights, its architecture and the images."""
    digest = hashlib.sha256(_architecture(expert).encode())
    for array in (images, *expert.get_weights()):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _architecture(layer):
    """A layer's configuration as text, the same for the same layer in every process.

    Keras numbers the names of layers as they are made, and tells shared ones by their address: a
    name becomes its place among the names, and the address is left out.
    """
    config = keras.saving.serialize_keras_object(layer)
    names = {}

    def collect(value):
        if isinstance(value, dict):
            if isinstance(value.get("name"), str):
                names.setdefault(value["name"], f"name {len(names)}")
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value:
                collect(item)

    def plain(value):
        if isinstance(value, dict):
            left_out = ("shared_object_id", "compile_config")
            return {key: plain(item) for key, item in value.items() if key not in left_out}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    collect(config)
    return json.dumps(plain(config), sort_keys=True, default=str)


def _read(path, count):
    """The answers in a file; `None` if there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            said = file["said"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return said if len(said) == count else None
