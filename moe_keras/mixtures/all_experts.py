"""keras-hub's mixture blocks, which run every expert on every token: read, and run sparsely.

A block is known by the names of the layers and weights inside, so that keras-hub is not needed:

    Mixtral                 sparse_feedforward_gate_dense, experts
    Qwen-MoE                the same, shared_expert_dense, shared_expert_gate_dense
    Qwen3-MoE               sparse_feedforward_gate_dense, experts
    Qwen3.5-MoE             router_gate, experts, shared_expert, shared_expert_gate
    gpt-oss                 router, experts
"""

from keras import ops

from moe_keras.experts import StackedMLP
from moe_keras.losses import load_balancing_loss
from moe_keras.mixtures.dispatchers import Routing, candidates, first_that_works

ROUTERS = ("sparse_feedforward_gate_dense", "router_gate")  # give logits
CHOOSERS = ("router",)  # give weights: 0 for experts that are not chosen
SHARED = ("shared_expert_dense", "shared_expert")
SHARED_GATES = ("shared_expert_gate_dense", "shared_expert_gate")


class BlockExperts(StackedMLP):
    """A stack of experts whose weights stay in the layer that has them.

        E_e(x) = activation(x W1_e + b1_e, ..., x Wn_e + bn_e) W_e + b_e

    Args:
        first: List of n lists, of a kernel (E, D, hidden) and, where there is one, its bias.
        last: List of the last kernel (E, H, units) and, where there is one, its bias.
        activation: Function of n tensors (..., hidden) that gives one, (..., H).
    """

    def __init__(self, first, last, activation, **kwargs):
        num_experts, intermediate_dim, units = last[0].shape
        super().__init__(num_experts, intermediate_dim, units, use_bias=len(last) > 1, **kwargs)
        self.activation = activation
        self.num_first = len(first)
        self.stacks = [stack for layer in [*first, last] for stack in layer]

    def build(self, input_shape):
        pass  # the weights are there

    def _all(self):
        return self.stacks

    def network(self, inputs, *weights, dot=ops.matmul, add=ops.add):
        weights = iter(weights)

        def layer(inputs):
            outputs = dot(inputs, next(weights))
            return add(outputs, next(weights)) if self.use_bias else outputs

        return layer(self.activation(*[layer(inputs) for _ in range(self.num_first)]))


def layers_of(block):
    """The layers right inside a layer, by name."""
    inside = block._flatten_layers(include_self=False, recursive=False)
    return {layer.name: layer for layer in inside}


def named(layers, names):
    """The one of the layers that has one of these names, or `None`."""
    return next((layers[name] for name in names if name in layers), None)


def is_block(layer):
    """Whether a layer is such a block, built."""
    inside = layers_of(layer)
    if named(inside, ROUTERS + CHOOSERS) is None or not hasattr(layer, "top_k"):
        return False
    return "experts" in inside and experts_of(inside["experts"]) is not None


def experts_of(bank):
    """keras-hub's layer of experts as `BlockExperts`, or `None` if it is another layer."""
    stacks = {weight.name: weight for weight in bank.weights}
    names = set(stacks)
    if names == {"gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias"}:
        first = [[stacks["gate_up_proj"], stacks["gate_up_proj_bias"]]]
        last = [stacks["down_proj"], stacks["down_proj_bias"]]
        return BlockExperts(first, last, clipped_glu(bank), dtype=bank.dtype_policy)
    of_gate, of_inputs, of_outputs = (
        f"expert_feedforward_{name}_dense" for name in ("gate", "intermediate", "output")
    )
    if names not in ({of_gate, of_outputs}, {of_gate, of_inputs, of_outputs}):
        return None
    activation = getattr(bank, "activation", ops.silu)
    first = [[stacks[name]] for name in (of_gate, of_inputs) if name in names]

    def glu(*products):  # of two kernels, or of one that holds both
        gate, up = products if len(products) == 2 else ops.split(products[0], 2, axis=-1)
        # As in keras-hub: the activation in float32.
        return ops.cast(activation(ops.cast(gate, "float32")), up.dtype) * up

    return BlockExperts(first, [stacks[of_outputs]], glu, dtype=bank.dtype_policy)


def clipped_glu(bank):
    """The activation of gpt-oss: gates and what they multiply lie in turns."""

    def activation(products):
        gate = ops.minimum(products[..., ::2], bank.limit)
        up = ops.clip(products[..., 1::2], -bank.limit, bank.limit)
        return (up + 1) * gate * ops.sigmoid(gate * bank.alpha)

    return activation


def routing_of(block, router, tokens):
    """The `Routing` that a block's router gives, and what the block returns of it, (T, E)."""
    answer = router(tokens)  # (T, E)
    if router.name in CHOOSERS:
        weights, indices = ops.top_k(answer, block.top_k)  # (T, k)
        return Routing(ops.cast(indices, "int32"), weights, answer), answer
    probabilities = ops.softmax(answer)
    weights, indices = ops.top_k(probabilities, block.top_k)
    if getattr(block, "norm_top_k_prob", True):
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return Routing(ops.cast(indices, "int32"), weights, probabilities), answer


def sparse_call(block, dispatch):
    """A `call` for the block that runs each token's k experts alone: same weights, outputs, losses.

    Args:
        block: layer of which `is_block` is true.
        dispatch: as for `SparseMoE`.
    """
    inside = layers_of(block)
    experts = experts_of(inside["experts"])
    router = named(inside, ROUTERS + CHOOSERS)
    shared, shared_gate = named(inside, SHARED), named(inside, SHARED_GATES)
    dispatchers = candidates(dispatch, experts)
    loss_weight = getattr(block, "router_aux_loss_coef", 0)
    loss_weight = getattr(block, "router_aux_loss_coefficient", loss_weight)

    def call(hidden_states, attention_mask=None, training=None):
        if training and getattr(block, "router_jitter_noise", 0):
            return type(block).call(block, hidden_states, attention_mask, training=training)
        shape = ops.shape(hidden_states)  # (B, T, D)
        tokens = ops.reshape(hidden_states, (-1, shape[-1]))
        routing, scores = routing_of(block, router, tokens)
        dispatcher = first_that_works(dispatchers, routing, experts, tokens, training=training)
        outputs = dispatcher.for_phase(training)(tokens, routing, experts, training=training)
        if shared is not None:
            outputs = outputs + shared(tokens) * ops.sigmoid(shared_gate(tokens))
        if training and loss_weight:
            loss = load_balancing_loss(
                routing.probabilities, routing.indices, token_mask(attention_mask)
            )
            block.add_loss(loss_weight * loss)
        return ops.reshape(ops.cast(outputs, hidden_states.dtype), shape), scores

    return call


def token_mask(mask):
    """A padding mask (B, T), or an attention mask (B, T, T), as one of tokens in a row."""
    if mask is None:
        return None
    if len(mask.shape) == 3:
        mask = ops.any(mask, axis=-1)
    return ops.reshape(ops.cast(mask, "bool"), (-1,))
