"""Train a mixture on one device and expert-parallel on eight, and print what came of each as JSON.

A program of its own: how many devices a process has is settled before its first computation, by
`XLA_FLAGS=--xla_force_host_platform_device_count=8`.
"""

import json

import keras
import numpy as np

import moe_keras as moe
from benchmarks.scaling import collective_bytes, compiled_step, shared_out
from moe_keras.mixtures import ExpertParallelDispatcher, expert_parallel_layout

DEVICES, EXPERTS, TOP_K, BATCH, LENGTH, FEATURES = 8, 16, 2, 16, 4, 6
X = np.random.default_rng(0).normal(size=(2 * BATCH, LENGTH, FEATURES)).astype("float32")
Y = np.random.default_rng(1).normal(size=X.shape).astype("float32")


def make_model(dispatch):
    keras.utils.set_random_seed(0)
    experts = moe.StackedMLP(EXPERTS, 5, activation="silu", gated=True)
    gate = moe.TopKGate(EXPERTS, TOP_K, balance_loss=0.01)
    inputs = keras.Input((LENGTH, FEATURES), batch_size=BATCH)
    return keras.Model(inputs, inputs + moe.SparseMoE(experts, gate, dispatch)(inputs))


def train(model):
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    answers = model.predict(X[:BATCH], batch_size=BATCH, verbose=0)
    return [np.array(weight).tolist() for weight in [*model.get_weights(), answers]]


def main():
    one = train(make_model("dense"))

    mesh = keras.distribution.DeviceMesh(
        (DEVICES,), ["batch"], [f"cpu:{n}" for n in range(DEVICES)]
    )
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=expert_parallel_layout(mesh))
    )
    # With slots for all: nothing is dropped, as on one device.
    model = make_model(ExpertParallelDispatcher(DEVICES, capacity_factor=EXPERTS / TOP_K))
    eight = train(model)
    mixture = model.layers[1]
    shards = [
        (
            variable.path,
            list(variable.shape),
            list(variable.value.sharding.shard_shape(variable.shape)),
        )
        for variable in [*model.weights, *model.optimizer.variables]
    ]
    program = compiled_step(mixture, shared_out(X[:BATCH], mesh)).as_text()
    print(json.dumps({
        "one": one, "eight": eight, "shards": shards, "bytes": collective_bytes(program),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
