"""Exported as a SavedModel of TensorFlow, every mixture answers as it does in Keras.

One model holds all that take the same inputs, so that two exports serve all tests.
"""

import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import to_numpy
from public_layers import MODELS, of_tokens, sparse, with_weights

MIXTURES = {
    **{name: make for name, make in MODELS.items() if "MoE" in name},
    **{name: MODELS[name] for name in ("Combine", "ProgressiveExtraction")},
    "SparseMoE of a list, blocked": lambda: of_tokens(sparse("blocked")),
}
INPUTS = {3: TOKENS, 2: ROWS}  # by rank
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By name: outputs in Keras, and those of the SavedModel."""
    import tensorflow as tf

    models = {name: with_weights(make()) for name, make in MIXTURES.items()}
    pairs = {}
    for rank, x in INPUTS.items():
        own = {name: model for name, model in models.items() if len(model.inputs[0].shape) == rank}
        inputs = keras.Input(x.shape[1:])  # any number of them
        outputs = {name: keras.tree.flatten(model(inputs)) for name, model in own.items()}
        folder = tmp_path_factory.mktemp("exported") / str(rank)
        keras.Model(inputs, keras.tree.flatten(outputs)).export(folder, verbose=False)
        loaded = tf.saved_model.load(folder)  # whose variables live as long as it does
        served = list(loaded.serve(tf.constant(x[:2])))
        for name, answers in keras.tree.pack_sequence_as(outputs, served).items():
            wanted = keras.tree.flatten(own[name](x[:2], training=False))
            pairs[name] = [to_numpy(y) for y in wanted], [to_numpy(y) for y in answers]
    return pairs


@pytest.mark.parametrize("name", MIXTURES)
def test_the_saved_model_gives_the_same(exported, name):
    wanted, served = exported[name]
    assert len(served) == len(wanted)
    for one, other in zip(wanted, served, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
