"""Top-k gate with auxiliary-loss-free load balancing."""

import keras
from keras import ops

from moe_keras.arguments import non_negative_float, positive_integer, valid_top_k
from moe_keras.gates.choice import choose, spread
from moe_keras.gates.gate import Gate
from moe_keras.losses.tokens import token_mean
from moe_keras.masks import clear_padding
from moe_keras.precision import float32_or_better_dtype


@keras.saving.register_keras_serializable(package="moe_keras")
class BiasBalancedGate(Gate):
    """Top-k gate, balanced without an auxiliary loss by a bias against busy experts.

        logits = x W
        probabilities = softmax(logits)
        indices = the k experts with the largest probabilities + bias
        weights = probabilities[indices], divided by their sum if k > 1

    and after each batch in training

        bias_e = bias_e + update_rate sign(mean load - load_e)

    where load_e is the share of the batch's tokens that chose expert e. The bias decides who is
    chosen and has no part in the weights, so that it disturbs neither the output nor any gradient,
    as a balance loss does. It is not trained, and stands still outside training and in a gate with
    `trainable = False`.

    The papers score with a sigmoid; here, as in every gate, it is a softmax, so probabilities have
    sum 1 and the bias is on their scale.

    Args:
        num_experts: Integer, number of experts E.
        top_k: Integer, number of experts for each token k, from 1 to E.
        update_rate: Float, step of the bias in a batch, 0 or more.

    Call arguments:
        inputs: tensor of shape (B, ..., D).
        mask: boolean tensor of shape (B, ...); what is False chooses no expert, index -1, and does
            not count as load.

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, ..., E), and `"weights"`, shape
        (B, ..., k), float32; `"indices"`, shape (B, ..., k), int32, the largest score first.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1, `top_k` not one from 1 to
            E, or `update_rate` is below 0.

    Reference:
        Wang et al. (2024), Auxiliary-loss-free load balancing strategy for mixture-of-experts,
        algorithm 1.
        DeepSeek-AI (2024), DeepSeek-V3 technical report, equation (16).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import BiasBalancedGate
    >>> gate = BiasBalancedGate(num_experts=2, top_k=1, update_rate=0.25)
    >>> same = np.ones((4, 3), "float32")  # all choose the same expert, which is then too busy
    >>> busy = int(gate(same, training=True)["indices"][0, 0])
    >>> bias = ops.convert_to_numpy(gate.bias)
    >>> float(bias[busy]), float(bias[1 - busy])
    (-0.25, 0.25)
    """

    def __init__(self, num_experts, top_k=2, update_rate=0.001, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.top_k = valid_top_k(top_k, self.num_experts)
        self.update_rate = non_negative_float("update_rate", update_rate)
        self.dense = keras.layers.Dense(self.num_experts, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.bias = self.add_weight(
            shape=(self.num_experts,),
            initializer="zeros",
            trainable=False,
            autocast=False,
            # In 16 bits a bias of 1 would be too large to take a step of 0.001.
            dtype=float32_or_better_dtype(self.variable_dtype),
            aggregation="mean",  # replicas see other tokens, but must agree on the bias
            name="bias",
        )

    def call(self, inputs, mask=None, training=None):
        logits = self.dense(clear_padding(inputs, mask))  # (B, ..., E)
        probabilities = ops.softmax(logits)
        scores = ops.cast(probabilities, self.bias.dtype) + self.bias  # (B, ..., E)
        choice = choose(logits, probabilities, self.top_k, scores, mask)  # (B, ..., k)
        if training and self.trainable:
            self._update(choice["indices"], mask)
        return {"logits": logits, "probabilities": probabilities, **choice}

    def _update(self, indices, mask):
        ones = ops.ones(ops.shape(indices), dtype=self.bias.dtype)
        load = token_mean(spread(ones, indices, self.num_experts), mask)  # (E,)
        # A load within rounding of the mean is even: no sign to follow.
        excess = load - ops.mean(load)
        step = ops.where(ops.abs(excess) > 1e-6, ops.sign(excess), 0)
        self.bias.assign(self.bias - self.update_rate * step)

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "top_k": self.top_k,
            "update_rate": self.update_rate,
        }
        return {**super().get_config(), **config}
