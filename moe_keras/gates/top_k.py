"""Top-k gate of the sparse mixture of experts."""

import keras
from keras import ops

from moe_keras.arguments import non_negative_float, positive_integer, valid_top_k
from moe_keras.gates.choice import choose
from moe_keras.gates.gate import Gate
from moe_keras.losses import load_balancing_loss, router_z_loss
from moe_keras.masks import clear_padding
from moe_keras.precision import as_float


@keras.saving.register_keras_serializable(package="moe_keras")
class TopKGate(Gate):
    """Top-k gate: chooses the k most probable experts of each token.

        logits = x W
        probabilities = softmax(logits)
        indices = the k experts with the largest probabilities, the most probable first
        weights = probabilities[indices], divided by their sum if k > 1

    The softmax comes first and runs over all experts. With k = 1 the weight is the probability
    itself: divided by its sum it would be 1 whatever the gate thinks, and the task would have no
    gradient to train the gate with.

    In training, and only there, `jitter` multiplies each input by a number drawn evenly from
    1 - jitter to 1 + jitter, so that the gate sees which expert it nearly chose, and the losses
    with a coefficient above 0 are added to the model's.

    Args:
        num_experts: Integer, number of experts E.
        top_k: Integer, number of experts for each token k, from 1 to E.
        jitter: Float from 0 to less than 1; Switch Transformers take 0.01.
        balance_loss: Float, coefficient of `load_balancing_loss`; Switch Transformers take 0.01.
        z_loss: Float, coefficient of `router_z_loss`; ST-MoE takes 0.001.
        seed: Integer that fixes the jitter, or `None`. How far it has been drawn is saved with the
            weights, so that a resumed training goes on as an undisturbed one.

    Call arguments:
        inputs: tensor of shape (B, ..., D).
        mask: boolean tensor of shape (B, ...); what is False chooses no expert, index -1, and the
            losses leave it out.

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, ..., E), and `"weights"`, shape
        (B, ..., k), float32; `"indices"`, shape (B, ..., k), int32.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1, `top_k` not one from 1 to
            E, `jitter` not from 0 to less than 1, or a coefficient is below 0.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 2.1.
        Fedus, Zoph & Shazeer (2021), Switch Transformers, equations (1), (2) and (4), and
        section 2.4 (jitter).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import TopKGate
    >>> gate = TopKGate(num_experts=8, top_k=2)
    >>> tensors = gate(np.ones((5, 4), "float32"))
    >>> {name: tuple(tensor.shape) for name, tensor in sorted(tensors.items())}
    {'indices': (5, 2), 'logits': (5, 8), 'probabilities': (5, 8), 'weights': (5, 2)}
    """

    def __init__(
        self,
        num_experts,
        top_k=2,
        jitter=0.0,
        balance_loss=0.0,
        z_loss=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.top_k = valid_top_k(top_k, self.num_experts)
        self.jitter = non_negative_float("jitter", jitter, below=1)
        self.balance_loss = non_negative_float("balance_loss", balance_loss)
        self.z_loss = non_negative_float("z_loss", z_loss)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.dense = keras.layers.Dense(self.num_experts, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs, mask=None, training=None):
        inputs = clear_padding(inputs, mask)
        if training and self.jitter:
            inputs = as_float(inputs)
            inputs = inputs * keras.random.uniform(
                ops.shape(inputs),
                minval=1 - self.jitter,
                maxval=1 + self.jitter,
                dtype=inputs.dtype,
                seed=self.seed_generator,
            )
        logits = self.dense(inputs)  # (B, ..., E)
        probabilities = ops.softmax(logits)
        choice = choose(logits, probabilities, self.top_k, mask=mask)  # (B, ..., k)
        if training and self.balance_loss:
            loss = load_balancing_loss(probabilities, choice["indices"], mask)
            self.add_loss(self.balance_loss * loss)
        if training and self.z_loss:
            self.add_loss(self.z_loss * router_z_loss(logits, mask))
        return {"logits": logits, "probabilities": probabilities, **choice}

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "top_k": self.top_k,
            "jitter": self.jitter,
            "balance_loss": self.balance_loss,
            "z_loss": self.z_loss,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
