"""Pretrained networks that come with the package."""

import hashlib
import json
from pathlib import Path

import numpy as np

from moe_common.files import replacing, write_text
from moe_keras.experts.frozen import FrozenExpert
from moe_keras.experts.vgg import vgg
from moe_keras.json_files import misfit, read_json
from moe_keras.npz import read_npz

FOLDER = Path(__file__).parent / "weights"
CARD = {
    **dict.fromkeys(("network", "dataset", "command", "sha256"), str),
    "classes": [str],
    "widths": [int],
    "input_shape": [int],
}


def pretrained_vgg(network, dataset="cifar10", folder=None):
    """Pretrained, frozen `vgg` that comes with the package: nothing is downloaded.

    Args:
        network: String, "base" (all classes), a group's name such as "natural" or "artificial" (its
            classes alone), or "group-gate" (which group).
        dataset: String, what it was trained on, the `key` of a `data.Dataset`: "cifar10", or
            "cifar10-stand-in" for the generated images.
        folder: Path, where to look, as `pretrain` writes it; `None`: in the package.

    Returns:
        `FrozenExpert` from images (B, height, width, channels), pixel values 0 to 255, to
        probabilities (B, C) of its classes. `pretrained_card` tells which classes, and how it was
        trained.

    Raises:
        ValueError: if there are no such weights, or they are not what their card says: damaged, cut
            short, of another network or of another dataset.

    Reference:
        Simonyan & Zisserman (2015), Very deep convolutional networks, section 2.1.

    Example:

    >>> from moe_keras.experts import pretrained_vgg
    >>> pretrained_vgg("base").layer.output_shape
    (None, 10)
    """
    path = _path(network, dataset, folder)
    weights, about = load_weights(path)
    if (about["network"], about["dataset"]) != (network, dataset):
        raise ValueError(
            f"Expected {path} to be the network {network} of {dataset}. "
            f"Received: a card of {about['network']} of {about['dataset']}"
        )
    name = f"{network}_{dataset}".replace("-", "_").replace(" ", "_")
    model = vgg(len(about["classes"]), about["widths"], tuple(about["input_shape"]), name=name)
    shapes = [tuple(weight.shape) for weight in model.weights]
    if [weight.shape for weight in weights] != shapes:
        raise ValueError(
            f"Expected weights of a vgg of widths {about['widths']} for {len(about['classes'])} "
            "classes, as the card says and the installed moe-keras builds it. Train it anew: "
            f"{about['command']}. Received: {path}, which holds weights of another network"
        )
    model.set_weights(weights)
    return FrozenExpert(model, name=name)


def pretrained_card(network, dataset="cifar10", folder=None):
    """Model card of a pretrained network: a dict with its training and its accuracy.

    Args:
        network: as for `pretrained_vgg`.
        dataset: as for `pretrained_vgg`.
        folder: as for `pretrained_vgg`.

    Returns:
        Dict with "classes", "command", "seed", "epochs", "minutes", "machine", "accuracy",
        "sha256" of the weights, and more.

    Raises:
        ValueError: if there is no such card, or it is damaged.

    Example:

    >>> from moe_keras.experts import pretrained_card
    >>> pretrained_card("base")["classes"][:4]
    ['airplane', 'automobile', 'bird', 'cat']
    """
    return _read_card(_path(network, dataset, folder))


def _read_card(path):
    card = path.with_suffix(".json")
    try:
        about = read_json(card, dict | list)
        missing = set(CARD) - set(about)
        fault = f"one without {sorted(missing)}" if missing else misfit(about, CARD, "a card that")
    except ValueError as error:
        raise ValueError(f"Expected {card} to be a card. {error}") from error
    if fault:
        raise ValueError(f"Expected {card} to be a card. Received: {fault}")
    return about


def _path(network, dataset, folder):
    folder = FOLDER if folder is None else Path(folder)
    path = folder / dataset / f"{network}.npz"
    if not path.exists() or not path.with_suffix(".json").exists():
        here = sorted(f"{p.stem} of {p.parent.name}" for p in folder.glob("*/*.json"))
        raise ValueError(
            f"Expected one of: {', '.join(here) or f'nothing, there are no weights in {folder}'}. "
            f"'moe-keras pretrain' trains others. Received: {network} of {dataset}"
        )
    return path


def write_weights(path, model, card):
    """Write a model's weights in 16 bits, and its card with their checksum beside them.

    Args:
        path: the file, `.npz`; the card becomes `.json`.
        model: a Keras model.
        card: dict that describes it; "sha256" is added.

    Raises:
        OSError: if the files cannot be written.
    """
    path = Path(path)
    arrays = {f"{i:02d}": np.float16(weight) for i, weight in enumerate(model.get_weights())}
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        card["sha256"] = hashlib.sha256(temporary.read_bytes()).hexdigest()
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")


def load_weights(path):
    """The weights in a file, as float32 arrays in order, and their card.

    Raises:
        ValueError: if the file is not, to the last bit, what its card says.
    """
    path = Path(path)
    content = path.read_bytes()
    about = _read_card(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != about["sha256"]:
        raise ValueError(
            f"Expected {path} with SHA-256 {about['sha256']}, as its card says; damaged or not "
            f"the file that the card is about. Install moe-keras anew. Received: SHA-256 {digest}"
        )
    arrays = read_npz(path, "Install moe-keras anew.")
    return [np.float32(arrays[name]) for name in sorted(arrays)], about
