"""Train one mixture on one device and on two, and print what came of each as JSON.

A program of its own: how many devices a process has is settled before its first computation.
`PYTHONPATH=tests python tests/moe_keras/distribution/two_devices.py MIXTURE`
"""

import json
import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import contextlib

import keras
import numpy as np

import moe_keras as moe
from moe_keras.metrics import ExpertLoad, LoadVariation, RouterEntropy
from moe_keras.mixtures import CapacityDispatcher

ROWS = np.random.default_rng(0).normal(size=(48, 5)).astype("float32")
TARGETS = np.random.default_rng(1).normal(size=(48, 3)).astype("float32")
EXPERTS, BATCH, EPOCHS = 4, 16, 3


class Routed(keras.Model):
    """A model of an answer and its routing, which counts the routing as it trains."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.load, self.variation = ExpertLoad(EXPERTS), LoadVariation(EXPERTS)
        self.entropy = RouterEntropy()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if "indices" in y_pred:
            self.load.update_state(y_pred["indices"])
            self.variation.update_state(y_pred["indices"])
        self.entropy.update_state(y_pred["probabilities"])
        return self.get_metrics_result()


def make_model(name):
    # A mean over tokens, as the loss is: halves of a batch give what the whole gives. (The
    # balancing loss is a product of means; that of a half is its own.)
    sparse = moe.TopKGate(EXPERTS, top_k=2, z_loss=0.1)
    dense = moe.SoftmaxGate(EXPERTS)
    experts = [keras.layers.Dense(3, "tanh") for _ in range(EXPERTS)]
    if name == "DenseMoE":
        mixture = moe.DenseMoE(experts, dense)
    else:
        # With slots for all: each device counts its own, so that drops would differ.
        dispatch = CapacityDispatcher(EXPERTS / 2) if name == "capacity" else name
        mixture = moe.SparseMoE(experts, sparse, dispatch=dispatch)
    inputs = keras.Input((5,))
    # The mixture's gate, called a second time, adds nothing to the losses: as a layer it would.
    answer = mixture(inputs)
    routing = mixture.gate(inputs)
    outputs = {"answer": answer, "probabilities": routing["probabilities"]}
    if "indices" in routing:
        outputs["indices"] = routing["indices"]
    return Routed(inputs, outputs)


def train(name):
    keras.utils.set_random_seed(0)
    model = make_model(name)
    model.compile(keras.optimizers.SGD(0.5), loss={"answer": "mse"})
    history = []
    for _ in range(EPOCHS):
        logs = model.fit(
            ROWS, {"answer": TARGETS}, batch_size=BATCH, shuffle=False, verbose=0
        ).history
        history.append({key: np.array(value[0]).tolist() for key, value in logs.items()})
    return {"history": history, "devices": devices_of(model)}


def devices_of(model):
    """On how many devices the trained model lies."""
    if keras.backend.backend() == "tensorflow":
        return model.distribute_strategy.num_replicas_in_sync
    return len(model.weights[0].value.devices())


@contextlib.contextmanager
def two_devices():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
        with strategy.scope():
            yield
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        try:
            yield
        finally:
            keras.distribution.set_distribution(None)


def main(name):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    one = train(name)
    with two_devices():
        two = train(name)
    print(json.dumps({"one": one, "two": two}))


if __name__ == "__main__":
    main(*sys.argv[1:])
