"""
Title: Several tasks with a multi-gate mixture of experts
Description: One model says which digit an image shows and whether it is odd; each task weighs
    shared experts by a gate of its own (MMoE, Ma et al. 2018).
Backends: TensorFlow, JAX, PyTorch (set KERAS_BACKEND)

    python examples/several_tasks.py            a minute on a laptop
    python examples/several_tasks.py --short    seconds, to see that it runs
"""

"""
## Setup
"""

import argparse

import keras
from keras import layers

import moe_keras

parser = argparse.ArgumentParser()
parser.add_argument("--short", action="store_true")
SHORT = parser.parse_args().short

EPOCHS = 1 if SHORT else 5
data = moe_keras.data.load("mnist", subset=0.02 if SHORT else None)
TASKS = ("digit", "odd")


def labels(y):
    return {"digit": y, "odd": (y % 2).astype("float32")[:, None]}


"""
## Two ways to share

With a **shared bottom** the tasks share all features. In a `MultiGateMoE` they share the experts,
each of which runs once, and weigh them differently. Both give a dict of features by the tasks'
names. The experts are a quarter as wide, so that both have about as many parameters.
"""


def shared_bottom(x):
    return dict.fromkeys(TASKS, layers.Dense(64, "relu")(x))


def multi_gate(x):
    experts = [layers.Dense(14, "relu") for _ in range(4)]
    return moe_keras.MultiGateMoE(experts, gates=list(TASKS), name="mixture")(x)


def network(share):
    images = keras.Input((28, 28, 1))
    features = share(layers.Flatten()(layers.Rescaling(1 / 255)(images)))
    towers = {task: layers.Dense(16, "relu")(features[task]) for task in TASKS}
    outputs = {
        "digit": layers.Dense(10, "softmax", name="digit")(towers["digit"]),
        "odd": layers.Dense(1, "sigmoid", name="odd")(towers["odd"]),
    }
    model = keras.Model(images, outputs)
    model.compile(
        keras.optimizers.Adam(0.002),
        {"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy"},
        metrics={"digit": "accuracy", "odd": "accuracy"},
    )
    return model


"""
## Training and a look at the gates
"""

for share in (shared_bottom, multi_gate):
    keras.utils.set_random_seed(0)
    model = network(share)
    model.fit(data.x_train, labels(data.y_train), batch_size=100, epochs=EPOCHS, verbose=2)
    found = model.evaluate(data.x_test, labels(data.y_test), return_dict=True, verbose=0)
    print(
        f"{share.__name__}, {model.count_params():,} parameters: digit "
        f"{found['digit_accuracy']:.2%}, odd {found['odd_accuracy']:.2%} of the test images"
    )

mixture = model.get_layer("mixture")
flat = data.x_test.reshape(len(data.x_test), -1).astype("float32") / 255
for task, answer in mixture.route(flat).items():
    weights = keras.ops.convert_to_numpy(answer["probabilities"]).mean(axis=0)
    print(f"mean weights of the task '{task}':", weights.round(2))

"""
These two tasks agree: who knows the digit knows whether it is odd. So there is nothing for gates to
keep apart; `python -m benchmarks.multi_task` has three seeds and intervals. Gates are for tasks
that pull apart.
"""
