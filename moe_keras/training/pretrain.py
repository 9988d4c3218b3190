"""Pretraining of the networks of the labs: a base, an expert for each group, a gate."""

import datetime
import os
import platform
from pathlib import Path

import keras
import numpy as np

from moe_common.stopping import keeping
from moe_keras import data
from moe_keras.experts import pretrained_card, pretrained_vgg, vgg
from moe_keras.experts.pretrained import write_weights
from moe_keras.training.recipe import start_vgg, train_vgg

WIDTHS = (64, 256, 256)
# An expert sees fewer images an epoch than the base; the gate goes on from the base.
EPOCHS = {"base": 20, "group-gate": 8}
EXPERT_EPOCHS = 50
GATE_RATE = 0.1


def pretrain(
    network,
    dataset="cifar10",
    output="build/pretrained",
    widths=WIDTHS,
    epochs=None,
    seed=0,
    precision="float32",
    verbose=2,
):
    """Pretrain a network of the labs; write its weights and a card that describes them.

    - `"base"`: all classes.
    - a group's name, such as `"natural"` or `"0-4"`: its classes alone, an expert.
    - `"group-gate"`: to which group an image belongs. It starts from the base, which must be there.

    The training can be interrupted; called again, it goes on after the last whole epoch.

    Args:
        network: String, the network to train.
        dataset: String, name of the dataset, as for `data.load`.
        output: Path of the folder to write `<dataset>/<network>.npz` and `.json` to. (Images of the
            stand-in make `<dataset>-stand-in`.)
        widths: Tuple of integers, filters of each block, see `vgg`.
        epochs: Integer, number of epochs; `None`: 20 for the base, 50 for an expert, 8 for the
            gate.
        seed: Integer, seed of first weights, order, shifts and mirroring. Not of the validation
            split, which is the same for all.
        precision: String, dtype policy of the training: "float32" or "mixed_bfloat16", which is
            several times as fast on processors that support it.
        verbose: Integer, as for `fit`.

    Returns:
        Dictionary, the card.

    Raises:
        ValueError: if there is no such network for the dataset, the gate's base is missing or of
            other widths, or the checkpoint is damaged or of another training.
        OSError: if the files cannot be written.

    Example:

    >>> from moe_keras.training.pretrain import pretrain
    >>> pretrain("plants")
    Traceback (most recent call last):
    ...
    ValueError: Expected one of base, natural, artificial, group-gate. Received: network='plants'
    """
    groups = data.groups(dataset)
    known = ["base", *groups, "group-gate"]
    if network not in known:
        raise ValueError(f"Expected one of {', '.join(known)}. Received: network={network!r}")
    images = data.load(dataset)
    folder = Path(output) / images.key
    epochs = epochs or EPOCHS.get(network, EXPERT_EPOCHS)
    parts = {
        part: examples(network, groups, getattr(images, f"x_{part}"), getattr(images, f"y_{part}"))
        for part in ("train", "validation", "test")
    }
    classes = _classes(network, groups, images)
    x_train, y_train = parts["train"]
    mirror = images.mirror_allowed
    keras.utils.set_random_seed(seed)
    model = vgg(len(classes), widths, x_train.shape[1:], dtype=precision)
    rate = 0.375
    if network == "group-gate":
        rate = GATE_RATE
        _take_over(model, widths, images.key, output)
    else:
        start_vgg(model, x_train, seed)
    checkpoint = folder / f"{network}.checkpoint.npz"
    with keeping(lambda: _kept(checkpoint)):
        history = train_vgg(
            model,
            x_train,
            y_train,
            parts["validation"],
            epochs,
            rate,
            seed,
            mirror,
            checkpoint,
            verbose,
        )

    trained = vgg(len(classes), widths, x_train.shape[1:], dtype="float32")
    trained.set_weights([np.float16(weight) for weight in model.get_weights()])  # as they are kept
    about = {
        "network": network,
        "dataset": images.key,
        "images": images.label,
        "classes": classes,
        "input_shape": list(x_train.shape[1:]),
        "widths": list(widths),
        "parameters": trained.count_params(),
        "command": (
            f"moe-keras pretrain {network} --dataset {dataset} --epochs {epochs} --seed {seed} "
            f"--widths {','.join(map(str, widths))} --precision {precision}"
        ),
        "seed": seed,
        "split": {part: len(labels) for part, (_, labels) in parts.items()},
        "epochs": epochs,
        "minutes": round(sum(epoch["seconds"] for epoch in history) / 60, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": f"Python {platform.python_version()}, Keras {keras.__version__}",
        "date": datetime.date.today().isoformat(),
        "accuracy": {
            part: _accuracy(trained, *parts[part], views=2 if mirror else 1)
            for part in ("validation", "test")
        },
    }
    write_weights(folder / f"{network}.npz", trained, about)
    checkpoint.unlink(missing_ok=True)
    return about


def _kept(checkpoint):
    """What an interruption leaves."""
    if not checkpoint.exists():
        return "No epoch had ended."
    return f"Whole epochs are kept in {checkpoint}; the same command goes on after them."


def _classes(network, groups, images):
    if network == "group-gate":
        return list(groups)
    ids = groups.get(network, range(images.num_classes))
    return [images.class_names[i] for i in ids]


def examples(network, groups, images, labels):
    """Training examples of a network of the labs.

    Args:
        network: String, as for `pretrain`.
        groups: Dictionary from a group's name to its class ids, as `data.groups` returns it.
        images: Array (N, ...).
        labels: Integer array (N,) of class ids.

    Returns:
        Two arrays: all images, or those of the network's group; and their labels, counted from 0
        within the group, in the order of its ids.
    """
    if network == "group-gate":
        return images, data.group_labels(labels, groups)
    if network not in groups:
        return images, labels
    ids = np.array(groups[network])
    own = np.isin(labels, ids)
    # Each label's place among the ids, which need not be sorted.
    return images[own], np.equal.outer(labels[own], ids).argmax(axis=1)


def _take_over(model, widths, dataset, output):
    """Weights of the base, all but the last layer's."""
    path = Path(output) / dataset / "base.npz"
    if not path.exists():
        raise ValueError(
            f"Expected the base network at {path}, which the gate starts from: train it first. "
            "Received: no such file"
        )
    has = pretrained_card("base", dataset, output)["widths"]
    if has != list(widths):
        raise ValueError(
            f"Expected the widths of the base that the gate starts from, {has}. "
            f"Received: widths={widths}"
        )
    base = pretrained_vgg("base", dataset, output).get_weights()
    model.set_weights([*base[:-2], *model.get_weights()[-2:]])


def _accuracy(model, images, labels, views):
    """Accuracy of one view and of the mean over an image and its mirror image."""
    probabilities = model.predict(images, batch_size=500, verbose=0)
    accuracy = {"one view": round(float((probabilities.argmax(axis=1) == labels).mean()), 4)}
    if views == 2:
        probabilities = probabilities + model.predict(images[:, :, ::-1], batch_size=500, verbose=0)
        accuracy["two views"] = round(float((probabilities.argmax(axis=1) == labels).mean()), 4)
    return accuracy
