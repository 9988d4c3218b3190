"""The networks of a sweep: trained with the package's recipe, on images of half the size."""

import dataclasses
import time

import keras
import numpy as np

from moe_keras.data import groups, load
from moe_keras.experts import pretrained_card, pretrained_vgg, vgg
from moe_keras.experts.pretrained import write_weights
from moe_keras.training.pretrain import examples
from moe_keras.training.recipe import start_vgg, train_vgg

GROUPS = groups("cifar10")
RATES = {"group-gate": 0.1}  # it goes on from the base; the others begin anew, with the usual rate


def small_images():
    """CIFAR-10 in 16 x 16 pixels, each the mean of four."""
    images = load("cifar10")
    if images.is_stand_in:
        raise SystemExit("Expected CIFAR-10 itself: set MOE_KERAS_DATA to its folder.")
    parts = ("x_train", "x_validation", "x_test")
    return dataclasses.replace(images, **{part: halved(getattr(images, part)) for part in parts})


def halved(images):
    """Images (N, 2 h, 2 w, channels) as uint8 (N, h, w, channels)."""
    count, height, width, channels = images.shape
    squares = images.reshape(count, height // 2, 2, width // 2, 2, channels)
    return np.uint8(np.round(squares.mean(axis=(2, 4))))


def train(folder, network, widths, epochs, seed, images):
    """Train one network, as `pretrain` does, unless it is there."""
    plan = {"network": network, "widths": list(widths), "epochs": epochs, "seed": seed}
    if (folder / "cifar10" / f"{network}.json").exists():
        card = pretrained_card(network, "cifar10", folder)
        if all(card[name] == value for name, value in plan.items()):
            return
    print(f"{time.strftime('%H:%M:%S')} {folder.name}: {network}, {epochs} epochs", flush=True)
    x, y = examples(network, GROUPS, images.x_train, images.y_train)
    classes = int(y.max()) + 1
    keras.utils.set_random_seed(seed)
    model = vgg(classes, widths, x.shape[1:])
    start_vgg(model, x, seed)
    if network == "group-gate":
        base = pretrained_vgg("base", "cifar10", folder).get_weights()
        model.set_weights([*base[:-2], *model.get_weights()[-2:]])
    history = train_vgg(
        model,
        x,
        y,
        examples(network, GROUPS, images.x_validation, images.y_validation),
        epochs,
        RATES.get(network, 0.375),
        seed,
        checkpoint=folder / f"{network}.checkpoint.npz",
    )
    card = {
        **plan,
        "dataset": "cifar10",
        "classes": list(range(classes)),
        "input_shape": list(x.shape[1:]),
        "parameters": model.count_params(),
        "command": "python -m benchmarks.width_sweep",
        "split": {"train": len(x)},
        "minutes": round(sum(epoch["seconds"] for epoch in history) / 60, 2),
    }
    write_weights(folder / "cifar10" / f"{network}.npz", model, card)
    (folder / f"{network}.checkpoint.npz").unlink()
