"""Base class of dispatchers, and the routing that they carry out."""

from typing import NamedTuple

from moe_keras.call_expert import call_expert
from moe_keras.masks import in_range


class Routing(NamedTuple):
    """A sparse gate's decision about T tokens.

    Attributes:
        indices: integer tensor of shape (T, k): the experts of each token, from 0 to E - 1. Any
            other index, such as `NO_EXPERT`, is a choice that no expert answers.
        weights: tensor of shape (T, k): what their outputs are multiplied by; 0 for no expert.
        probabilities: tensor of shape (T, E).
    """

    indices: object
    weights: object
    probabilities: object

    @property
    def num_experts(self):
        """E."""
        return self.probabilities.shape[-1]

    @property
    def there(self):
        """Which choices are of an expert: boolean tensor of shape (T, k)."""
        return in_range(self.indices, self.num_experts)


class Dispatcher:
    """Base class of dispatchers: carries tokens to their experts, and outputs back to tokens.

        y_t = sum_j w_tj E_{i_tj}(x_t)        over a token's choices j = 1..k that are not dropped

    in four steps:

        plan = dispatcher.plan(routing)                    who goes where; no token is looked at
        inputs = dispatcher.dispatch(tokens, plan)         what the experts see
        mask = dispatcher.dispatch(mask, plan)             the tokens' own masks, if they have any
        outputs = dispatcher.call_experts(experts, inputs, plan, mask, training)
        y = dispatcher.combine(outputs, plan)

    A dispatcher of one's own derives from `Dispatcher`, writes `plan`, `dispatch` and `combine`,
    says by the attributes below what it can do, and is registered with Keras
    (`keras.saving.register_keras_serializable`), so that it is saved with its mixture. One with
    arguments has a `get_config`.

    Attributes:
        drops_tokens: Boolean, whether a choice may be dropped. One that drops has a `kept`.
        static_sizes: Boolean, whether the sizes of all its tensors follow from those of its inputs.
            A compiler (XLA, `jax.jit`) needs that; see `works_on`.
    """

    drops_tokens = False
    static_sizes = True

    def accepts(self, experts):
        """Whether it can run this `ExpertSet`."""
        return True

    def objection(self, experts, tokens, mask=None, training=None):
        """Why it would not give what each expert gives on all its tokens at once, or `None`.

        A string, which names what is in the way. `"auto"` then takes the next dispatcher; asked for
        by name, it is an error.

        Args:
            experts: an `ExpertSet`, built, that it accepts.
            tokens, mask, training: what it would be called with.
        """
        return None

    def works_on(self, backend, compiled):
        """Whether it works on a backend of Keras.

        Where it does not, a `SparseMoE` computes the same by another one.

        Args:
            backend: String, "tensorflow", "jax" or "torch".
            compiled: Boolean, whether under a compiler that must know each size beforehand.
        """
        return self.static_sizes or not compiled

    def plan(self, routing):
        """Where each choice goes: whatever `dispatch` and `combine` need, worked out once.

        Args:
            routing: a `Routing`.
        """
        raise NotImplementedError

    def dispatch(self, tokens, plan):
        """The experts' inputs: an iterable of E tensors, or what its `call_experts` takes.

        Args:
            tokens: tensor of shape (T, ...).
            plan: what `plan` returned.
        """
        raise NotImplementedError

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        """The experts' outputs: here a list of E tensors, each expert's for its own inputs.

        Args:
            experts: an `ExpertSet`.
            inputs: what `dispatch` returned for the tokens.
            plan: what `plan` returned.
            mask: what `dispatch` returned for the tokens' own masks, or `None`.
            training: passed on to the experts.
        """
        masks = [None] * len(experts) if mask is None else mask
        owns = self.own_rows(plan) or [None] * len(experts)
        return [
            call_expert(expert, tokens, mask, own, training=training)
            for expert, tokens, mask, own in zip(experts, inputs, masks, owns, strict=True)
        ]

    def own_rows(self, plan):
        """For each expert which of its inputs are tokens that chose it: list of boolean tensors.

        What an expert keeps (moving statistics) or adds to the loss is of those alone; see
        `call_expert`. Here `None`: all are.

        Args:
            plan: what `plan` returned.
        """
        return None

    def combine(self, outputs, plan):
        """Each token's outputs, weighted and summed: tensor of shape (T, ...).

        Args:
            outputs: what `call_experts` returned.
            plan: what `plan` returned.
        """
        raise NotImplementedError

    def for_phase(self, training):
        """The dispatcher that runs in training, or in inference; most are the same in both."""
        return self

    def skipping_empty(self, answer):
        """The dispatcher that does not run an expert that nothing chose, if it can; for inference.

        Args:
            answer: pair of the shape of an expert's answer to one token, and the dtype.
        """
        return self

    def kept(self, routing):
        """Which choices an expert answers: boolean tensor of shape (T, k)."""
        return routing.there

    def __call__(self, tokens, routing, experts, mask=None, training=None):
        """All steps: tensor of shape (T, ...).

        Args:
            tokens: tensor of shape (T, ...).
            routing: a `Routing` of these tokens.
            experts: an `ExpertSet`.
            mask: boolean tensor of the tokens' first axes, (T, ...), two or more: a mask inside
                each token, such as that of a sequence that is routed whole. It goes where its token
                goes.
            training: passed on to the experts.
        """
        plan = self.plan(routing)
        inputs = self.dispatch(tokens, plan)
        mask = None if mask is None else self.dispatch(mask, plan)
        return self.combine(self.call_experts(experts, inputs, plan, mask, training), plan)

    def get_config(self):
        """Arguments of its constructor, for saving."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The dispatcher with these arguments."""
        return cls(**config)
