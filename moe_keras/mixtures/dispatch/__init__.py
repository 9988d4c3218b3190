"""How tokens reach the experts that were chosen for them: ways that differ in cost alone.

Each way is a function of tokens (T, ...), a sparse gate's indices and weights (T, k), the experts
and `training`. Each gives the same (T, ...), but for choices that `capacity` drops:

    y_t = sum_j w_tj E_{i_tj}(x_t)        over a token's choices j = 1..k
"""

from moe_keras.mixtures.dispatch.blocked import blocked
from moe_keras.mixtures.dispatch.capacity import capacity, kept
from moe_keras.mixtures.dispatch.dense import dense
from moe_keras.mixtures.dispatch.grouped import grouped, sizes_may_vary

__all__ = ["blocked", "capacity", "dense", "grouped", "kept", "sizes_may_vary"]
