"""
Title: Image classification with sparse convolutional experts
Description: Each image of CIFAR-10 runs through 2 of 8 convolutional blocks that a gate chooses.
Backends: TensorFlow, JAX, PyTorch (set KERAS_BACKEND)

    python examples/sparse_experts_for_images.py            minutes on a laptop
    python examples/sparse_experts_for_images.py --short    seconds, to see that it runs
"""

"""
## Setup

The data come from a folder (`MOE_KERAS_DATA`), from Keras's cache, or are downloaded once.
"""

import argparse
import time

import keras
import numpy as np
from keras import layers

import moe_keras
from moe_keras.evaluation import multiply_adds, paired_interval
from moe_keras.metrics import ExpertLoad
from moe_keras.routing import routing_table

parser = argparse.ArgumentParser()
parser.add_argument("--short", action="store_true")
SHORT = parser.parse_args().short

EPOCHS = 1 if SHORT else 10
NUM_EXPERTS, TOP_K, FILTERS = 8, 2, 32
data = moe_keras.data.load("cifar10", subset=0.02 if SHORT else None)

"""
## One stem, and blocks that can be experts

An expert is any Keras layer or model. These have no batch normalization: the batch of an expert is
what its gate sends it, at times a few images, at times none.
"""


def block():
    """A convolutional block, maps (B, 16, 16, 32) to features (B, 64)."""
    return keras.Sequential(
        [
            layers.Conv2D(FILTERS, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * FILTERS, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
        ]
    )


"""
## A gate for whole images

What is routed follows from the gate's answer: indices of shape (B, k) send whole images. So the
gate looks at small averages of the maps. `balance_loss` keeps it from sending all images to the
same experts.
"""


def sparse():
    gate = moe_keras.TopKGate(NUM_EXPERTS, TOP_K, balance_loss=0.01)
    gate = keras.Sequential([layers.AveragePooling2D(4), layers.Flatten(), gate])
    return moe_keras.SparseMoE([block() for _ in range(NUM_EXPERTS)], gate, name="mixture")


def dense():
    """The rival of the same cost: as many blocks as run for an image, all for every image."""
    return moe_keras.DenseMoE(
        [block() for _ in range(TOP_K)],
        keras.Sequential([layers.GlobalAveragePooling2D(), moe_keras.SoftmaxGate(TOP_K)]),
        name="mixture",
    )


def network(mixture):
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(FILTERS, 3, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(images, layers.Dense(10)(mixture(x)))


"""
## Training

Nothing but `fit`.
"""

correct = {}
for name, build in {"2 blocks for all": dense, "2 of 8 blocks": sparse}.items():
    keras.utils.set_random_seed(0)
    model = network(build())
    model.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    start = time.perf_counter()
    model.fit(data.x_train, data.y_train, batch_size=128, epochs=EPOCHS, verbose=2)
    seconds = (time.perf_counter() - start) / EPOCHS
    predicted = model.predict(data.x_test, batch_size=500, verbose=0).argmax(axis=-1)
    correct[name] = predicted == data.y_test
    million = multiply_adds(model, data.x_test[:200]) / 1e6
    print(
        f"{name}: {correct[name].mean():.2%} of the test images right, {seconds:.0f} s an epoch, "
        f"{model.count_params():,} parameters, {million:.1f} million multiply-adds an image"
    )

gain, low, high = paired_interval(correct["2 of 8 blocks"], correct["2 blocks for all"])
print(f"2 of 8 instead of 2: {gain:+.2%} [{low:+.2%}, {high:+.2%}] of the images")

"""
## Who sees what

The table shows which classes go to which experts, the load how evenly.
"""

print(routing_table(model, data.x_test[:500], data.y_test[:500]))
mixture = model.get_layer("mixture")
maps = keras.Model(model.inputs, mixture.input).predict(data.x_test[:500], verbose=0)
load = ExpertLoad(NUM_EXPERTS)
load.update_state(mixture.route(maps)["indices"])
print("load of the experts:", np.round(keras.ops.convert_to_numpy(load.result()), 2))
