"""keras-hub's Mixtral block: the same weights give the same output."""

import numpy as np
import pytest

pytest.importorskip("keras_hub")
from keras_hub.src.models.mixtral.mixtral_decoder import MixtralSparseMoeBlock
from swiglu_experts import mixture


@pytest.mark.parametrize("dispatch", ["grouped", "dense"])
def test_output(dispatch):
    random = np.random.default_rng(0)
    block = MixtralSparseMoeBlock(hidden_dim=8, intermediate_dim=12, num_experts=5, top_k=2)
    x = random.normal(size=(3, 7, 8)).astype("float32")
    block(x)
    weights = [random.normal(size=weight.shape, scale=0.5) for weight in block.weights]
    block.set_weights(weights)
    theirs = block(x)
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    by_name = {variable.name: variable.numpy() for variable in block.weights}
    layer = mixture(
        by_name["kernel"],
        by_name["expert_feedforward_gate_dense"],
        by_name["expert_feedforward_intermediate_dense"],
        by_name["expert_feedforward_output_dense"],
        k=2,
        dispatch=dispatch,
    )
    np.testing.assert_allclose(layer(x), theirs, rtol=1e-4, atol=1e-4)
