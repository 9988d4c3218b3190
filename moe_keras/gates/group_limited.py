"""Top-k gate of DeepSeek-V3: sigmoid scores, a choice within groups, a scale."""

import keras
from keras import ops

from moe_keras.arguments import non_negative_float, positive_integer, positive_number
from moe_keras.gates.bias_balanced import BiasBalancedGate
from moe_keras.gates.choice import choose, spread
from moe_keras.losses import sequence_balance_loss
from moe_keras.masks import clear_padding, drop_choices
from moe_keras.ops.largest import largest

LOG_SCORES = {"sigmoid": ops.log_sigmoid, "softmax": ops.log_softmax}


@keras.saving.register_keras_serializable(package="moe_keras")
class GroupLimitedGate(BiasBalancedGate):
    """Group-limited top-k gate of DeepSeek-V3: sigmoid scores, balanced without a loss by a bias.

        logits = x W
        scores = sigmoid(logits)
        groups = the top_groups groups with the largest sums of their group_top_k best scores + bias
        indices = the k experts of these groups with the largest scores + bias
        weights = route_scale * scores[indices], divided by their sum if normalize and k > 1
        probabilities = scores / sum_e scores_e

    Experts 0 to E / num_groups - 1 are the first group, and so on; where each group has a device of
    its own, a token travels to `top_groups` devices at most. One group is the plain choice of k.
    The bias moves after each batch in training as in a `BiasBalancedGate`, and has no part in the
    weights.

    DeepSeek-V3 has `GroupLimitedGate(256, 8, num_groups=8, top_groups=4, route_scale=2.5)`,
    DeepSeek-V2 `GroupLimitedGate(160, 6, num_groups=8, top_groups=3, score="softmax",
    group_top_k=1, normalize=False, route_scale=16.0, update_rate=0.0)`.

    With transformers' names: `num_groups` is n_group, `top_groups` topk_group, `normalize`
    norm_topk_prob, `route_scale` routed_scaling_factor, and the bias e_score_correction_bias. There
    the experts of other groups get the score 0, which a negative score + bias loses to; here they
    are never chosen, as in DeepSeek's own code.

    Args:
        num_experts: Integer, number of experts E.
        top_k: Integer, number of experts for each token k, at most as many as `top_groups` groups
            hold.
        num_groups: Integer, number of groups of experts; divides E.
        top_groups: Integer, number of groups that a token's experts are chosen from.
        score: String, `"sigmoid"`, where experts do not compete, or `"softmax"`.
        group_top_k: Integer, how many of a group's experts count for its score, at most all:
            2 in DeepSeek-V3, 1 in DeepSeek-V2.
        normalize: Boolean, whether the weights are divided by their sum. For k = 1 they are not in
            any case: the weight would be 1 whatever the gate thinks.
        route_scale: Float above 0 that multiplies the weights.
        update_rate: Float, step of the bias in a batch; 0 for no balancing by bias.
        sequence_loss: Float, coefficient of `sequence_balance_loss`, which is added in training;
            DeepSeek-V3 takes 0.0001. As in the paper, it counts the k largest scores, without
            bias and groups.

    Call arguments:
        inputs: tensor of shape (B, ..., D).
        mask: boolean tensor of shape (B, ...); what is False chooses no expert, index -1, and does
            not count for bias and loss.

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, ..., E), and `"weights"`, shape
        (B, ..., k), float32; `"indices"`, shape (B, ..., k), int32, the largest score + bias first.

    Raises:
        ValueError: if a number is out of the range above, `score` is another name, or
            `sequence_loss` is asked for and the inputs have no axis of tokens, (B, T, D).

    Reference:
        DeepSeek-AI (2024), DeepSeek-V3 technical report, equations (13) to (20), section 2.1.2.
        DeepSeek-AI (2024), DeepSeek-V2, section 2.2.2 (device-limited routing).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import GroupLimitedGate
    >>> gate = GroupLimitedGate(num_experts=8, top_k=2, num_groups=4, top_groups=1, route_scale=2.5)
    >>> tensors = gate(np.ones((5, 6, 3), "float32"))
    >>> indices = ops.convert_to_numpy(tensors["indices"])
    >>> bool((indices[..., 0] // 2 == indices[..., 1] // 2).all())  # both of one group
    True
    >>> round(float(ops.sum(tensors["weights"][0, 0])), 4)
    2.5
    """

    def __init__(
        self,
        num_experts,
        top_k=2,
        num_groups=1,
        top_groups=1,
        score="sigmoid",
        group_top_k=2,
        normalize=True,
        route_scale=1.0,
        update_rate=0.001,
        sequence_loss=0.0,
        **kwargs,
    ):
        super().__init__(num_experts, top_k, update_rate, **kwargs)
        self.num_groups = positive_integer("num_groups", num_groups)
        self.top_groups = positive_integer("top_groups", top_groups)
        self.group_top_k = positive_integer("group_top_k", group_top_k)
        if self.num_experts % self.num_groups:
            raise ValueError(
                f"Expected num_groups to divide num_experts={self.num_experts}. "
                f"Received: num_groups={num_groups!r}"
            )
        if self.top_groups > self.num_groups:
            raise ValueError(
                f"Expected top_groups to be a whole number from 1 to num_groups={self.num_groups}. "
                f"Received: top_groups={top_groups!r}"
            )
        self.group_size = self.num_experts // self.num_groups
        if self.top_k > self.top_groups * self.group_size:
            raise ValueError(
                f"Expected top_k to be at most {self.top_groups * self.group_size}, the experts in "
                f"top_groups={self.top_groups} groups of {self.group_size}. "
                f"Received: top_k={top_k!r}"
            )
        if score not in LOG_SCORES:
            raise ValueError(
                f"Expected score to be one of {', '.join(map(repr, LOG_SCORES))}. "
                f"Received: score={score!r}"
            )
        self.score = score
        self.normalize = bool(normalize)
        self.route_scale = positive_number("route_scale", route_scale)
        self.sequence_loss = non_negative_float("sequence_loss", sequence_loss)

    def build(self, input_shape):
        if self.sequence_loss and len(input_shape) < 3:
            raise ValueError(
                "Expected inputs of shape (B, T, D): sequence_loss balances the tokens of each "
                f"sequence. Received: shape {tuple(input_shape)}"
            )
        super().build(input_shape)

    def call(self, inputs, mask=None, training=None):
        logits = self.dense(clear_padding(inputs, mask))  # (B, ..., E)
        # In logarithms, so that weights are right where all scores are too small for a float.
        log_scores = LOG_SCORES[self.score](logits)
        scores, probabilities = ops.exp(log_scores), ops.softmax(log_scores)
        eligible = self._within_groups(scores + ops.cast(self.bias, scores.dtype))
        choice = choose(log_scores, scores, self.top_k, eligible)  # (B, ..., k)
        indices, weights = choice["indices"], choice["weights"]
        if not self.normalize:
            weights = ops.take_along_axis(scores, indices, axis=-1)
        if mask is not None:
            indices, weights = drop_choices(indices, weights, self.num_experts, mask)
        if training and self.trainable:
            self._update(indices, mask)
        if training and self.sequence_loss:
            unbiased = largest(scores, self.top_k)[1]
            loss = sequence_balance_loss(probabilities, unbiased, mask)
            self.add_loss(self.sequence_loss * loss)
        return {
            "logits": logits,
            "probabilities": probabilities,
            "indices": indices,
            "weights": self.route_scale * weights,
        }

    def _within_groups(self, scores):
        """The scores (..., E), but minus infinity outside each token's best groups."""
        if self.top_groups == self.num_groups:
            return scores
        by_group = (*ops.shape(scores)[:-1], self.num_groups, self.group_size)
        grouped = ops.reshape(scores, by_group)
        best = largest(grouped, min(self.group_top_k, self.group_size))[0]
        best = ops.sum(best, axis=-1)  # (..., G)
        groups = largest(best, self.top_groups)[1]  # (..., top_groups)
        chosen = spread(ops.ones_like(groups, dtype=scores.dtype), groups, self.num_groups)
        grouped = ops.where(ops.expand_dims(chosen, -1) > 0, grouped, float("-inf"))
        return ops.reshape(grouped, ops.shape(scores))

    def get_config(self):
        config = {
            "num_groups": self.num_groups,
            "top_groups": self.top_groups,
            "score": self.score,
            "group_top_k": self.group_top_k,
            "normalize": self.normalize,
            "route_scale": self.route_scale,
            "sequence_loss": self.sequence_loss,
        }
        return {**super().get_config(), **config}
