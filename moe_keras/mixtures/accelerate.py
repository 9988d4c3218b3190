"""Sparse computation for keras-hub's mixtures of experts, which run every expert on every token."""

import keras
import numpy as np
from keras import ops

from moe_keras.mixtures.all_experts import is_block, sparse_call

FAMILIES = "Mixtral, Qwen-MoE, Qwen3-MoE, Qwen3.5-MoE, gpt-oss"
COMPILED = ("train_function", "test_function", "predict_function", "generate_function")
TOKENS = 8  # in the comparison
# Of the largest output: what rounding may change, by the dtype that is computed in.
TOLERANCE = {"float16": 0.02, "bfloat16": 0.05}


def accelerate(model, dispatch="auto"):
    """Accelerate a keras-hub mixture of experts: each token runs through its k experts alone.

        y = sum_{j=1..k} w_j E_{i_j}(x)        where keras-hub sums over all E, most of weight 0

    keras-hub's blocks run all experts on all tokens and multiply most answers by 0, E / k times
    the work. The model is changed in place: its blocks compute with the dispatchers of `SparseMoE`
    and keep their weights. So names, checkpoints, LoRA, an optimizer's state and the losses that
    balance the router stay as they are, and no memory is needed for a copy. What is saved is
    keras-hub's model: accelerate it again once it is loaded.

    Each block is compared with itself, before and after, on a few random tokens. One that
    gives another output raises an error. After this or any other error the model is left as it was.

    Args:
        model: keras-hub backbone or task, such as a `CausalLM`, or any built Keras model that holds
            blocks of Mixtral, Qwen-MoE, Qwen3-MoE, Qwen3.5-MoE or gpt-oss. Give the outermost
            model: what Keras has compiled of it, and of models inside it, is dropped.
        dispatch: String or `Dispatcher`, as for a `SparseMoE`. With a capacity, tokens may be
            dropped, so the outputs change, and are not compared.

    Returns:
        The same model.

    Raises:
        ValueError: if the model holds no such block, a block gives another output than before, or
            `dispatch` is none of those of a `SparseMoE`.

    Reference:
        Jiang et al. (2024), Mixtral of experts, section 2.1 (what such a block computes).
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 4 (dropless, block by block).

    Example:

    >>> import keras_hub  # doctest: +SKIP
    >>> backbone = keras_hub.models.MixtralBackbone.from_preset("mixtral_8_7b_en")  # doctest: +SKIP
    >>> backbone = accelerate(backbone)  # doctest: +SKIP
    """
    layers = list(model._flatten_layers()) if isinstance(model, keras.layers.Layer) else []
    blocks = [layer for layer in layers if is_block(layer)]
    if not blocks:
        raise ValueError(
            f"Expected a built model with mixture blocks of keras-hub ({FAMILIES}). "
            f"Received: '{getattr(model, 'name', model)}' of type {type(model).__name__}, "
            "without such blocks"
        )
    before = [(block, vars(block).get("call")) for block in blocks]
    try:
        for block in blocks:
            make_sparse(block, dispatch)
    except BaseException:  # an interruption, too, leaves the model as it was
        for block, call in before:
            restore(block, call)
        raise
    for layer in layers:
        for name in COMPILED:
            if getattr(layer, name, None) is not None:
                setattr(layer, name, None)  # Keras makes it anew
    return model


def make_sparse(block, dispatch):
    """Give a block another `call`, and compare what it gives with what it gave."""
    shape = (1, TOKENS, block.hidden_dim)
    tokens = np.random.default_rng(0).normal(size=shape).astype("float32")
    tokens = ops.cast(tokens, block.compute_dtype)
    wanted = outputs_of(block, tokens)
    block.call = sparse_call(block, dispatch)
    if getattr(dispatch, "drops_tokens", dispatch == "capacity"):
        return
    difference = np.abs(outputs_of(block, tokens) - wanted).max()
    largest = np.abs(wanted).max()
    if not difference <= TOLERANCE.get(block.compute_dtype, 1e-4) * largest:
        raise ValueError(
            f"Expected a block that computes what those of keras-hub do ({FAMILIES}). Received: "
            f"'{block.name}' of type {type(block).__name__}, whose outputs, up to {largest:.3g}, "
            f"would change by {difference:.3g}. The model is left as it was"
        )


def restore(block, call):
    """Give a block back the `call` that was its own, or that of its class if it had none."""
    if call is not None:
        block.call = call
    elif "call" in vars(block):
        del block.call


def outputs_of(block, tokens):
    outputs, _ = block(tokens)  # in inference
    return ops.convert_to_numpy(ops.cast(outputs, "float32"))
