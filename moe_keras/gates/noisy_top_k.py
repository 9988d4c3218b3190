"""Noisy top-k gate."""

import keras
from keras import ops

from moe_keras.arguments import non_negative_float, positive_integer, valid_top_k
from moe_keras.gates.choice import choose, spread
from moe_keras.gates.gate import Gate
from moe_keras.losses import importance_loss, load_loss
from moe_keras.masks import clear_padding


@keras.saving.register_keras_serializable(package="moe_keras")
class NoisyTopKGate(Gate):
    """Noisy top-k gate: chooses k experts of each token by scores with noise of learned size.

        clean = x W
        logits = clean + N(0, 1) softplus(x W_noise)    in training
        logits = clean                                  otherwise
        probabilities = softmax(logits)
        indices = the k experts with the largest probabilities
        weights = probabilities[indices], divided by their sum if k > 1

    The paper's softmax over the k kept logits is the same for k > 1; for k = 1 it would always be
    1, without a gradient, so the weight is the probability, as in `TopKGate`.

    Both kernels begin at zero: no signal, some noise (softplus(0) = 0.69), so that all experts are
    about equally busy at first. In training, and only there, the losses with a coefficient above 0
    are added to the model's.

    Args:
        num_experts: Integer, number of experts E.
        top_k: Integer, number of experts for each token k, from 1 to E.
        importance_loss: Float, coefficient of `losses.importance_loss`; the paper takes 0.1.
        load_loss: Float, coefficient of `losses.load_loss`; the paper takes 0.1.
        seed: Integer that fixes the noise, or `None`. How far it has been drawn is saved with the
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
            E, or a coefficient is below 0.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, equations (3) to (5), section 4
        and appendix A.

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import NoisyTopKGate
    >>> gate = NoisyTopKGate(num_experts=8, top_k=2, importance_loss=0.1, load_loss=0.1)
    >>> tensors = gate(np.ones((5, 4), "float32"), training=True)
    >>> tuple(tensors["indices"].shape), len(gate.losses)
    ((5, 2), 2)
    """

    def __init__(
        self, num_experts, top_k=2, importance_loss=0.0, load_loss=0.0, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.top_k = valid_top_k(top_k, self.num_experts)
        self.importance_loss = non_negative_float("importance_loss", importance_loss)
        self.load_loss = non_negative_float("load_loss", load_loss)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.clean = self._linear("clean")
        self.noise = self._linear("noise")

    def _linear(self, name):
        return keras.layers.Dense(
            self.num_experts,
            use_bias=False,
            kernel_initializer="zeros",
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        self.clean.build(input_shape)
        self.noise.build(input_shape)

    def call(self, inputs, mask=None, training=None):
        inputs = clear_padding(inputs, mask)
        clean = logits = self.clean(inputs)  # (B, ..., E)
        if training:
            scale = ops.softplus(self.noise(inputs))  # (B, ..., E)
            drawn = keras.random.normal(
                ops.shape(clean), dtype=clean.dtype, seed=self.seed_generator
            )
            logits = clean + drawn * scale
        probabilities = ops.softmax(logits)
        choice = choose(logits, probabilities, self.top_k, mask=mask)  # (B, ..., k)
        if training and self.importance_loss:
            weights = spread(choice["weights"], choice["indices"], self.num_experts)
            self.add_loss(self.importance_loss * importance_loss(weights, mask))
        if training and self.load_loss:
            loss = load_loss(clean, logits, scale, self.top_k, mask)
            self.add_loss(self.load_loss * loss)
        return {"logits": logits, "probabilities": probabilities, **choice}

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "top_k": self.top_k,
            "importance_loss": self.importance_loss,
            "load_loss": self.load_loss,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
