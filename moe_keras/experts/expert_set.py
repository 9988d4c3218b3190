"""What a mixture asks of its experts, however their weights are kept."""

from moe_keras.layer import MoELayer


class ExpertSet(MoELayer):
    """Base class of a set of experts: counts them, calls one, calls all on groups of rows.

    As a sequence it gives the experts one by one, each a function from (n, ...) to (n, ...):
    `len(experts)`, `experts[e]`, `for expert in experts`. As a layer it runs each expert on a group
    of rows of its own. Mixtures know no more of their experts than this.

    A set of one's own derives from `ExpertSet` and writes what raises `NotImplementedError` here,
    and `call`.

    Call arguments:
        inputs: tensor of shape (E, S, ...): a group of S rows for each expert, in order.
        mask: boolean tensor of the inputs' first axes, more than two; for sets that take masks.
        row_mask: boolean tensor of shape (E, S), which rows are there, likewise; the answers to the
            others are not used.
        training: passed on to the experts.

    Returns:
        Tensor of shape (E, S, ...).
    """

    is_stacked = False  # whether the experts lie in one tensor of each kind, for batched products
    takes_groups = False  # whether it has `run_groups`: groups of any sizes, one after another
    takes_masks = False  # whether a call takes `mask` and `row_mask`; it need not if rows are apart

    def __len__(self):
        """E, the number of experts."""
        raise NotImplementedError

    def __getitem__(self, e):
        """Expert e: callable on (n, ...), with `training`, `get_weights()` and its weights."""
        raise NotImplementedError

    def __iter__(self):
        return (self[e] for e in range(len(self)))

    @property
    def names(self):
        """List of E strings, a name for each expert."""
        raise NotImplementedError

    def layers_inside(self):
        """List of the Keras layers that hold the experts' weights: one each, or one for all."""
        raise NotImplementedError

    def output_shapes(self, input_shape):
        """Build the experts; list of E shapes, of their outputs for inputs of this shape."""
        raise NotImplementedError

    def run(self, inputs, mask=None, row_mask=None, **kwargs):
        """A call with the masks, if this set takes them."""
        masks = {"mask": mask, "row_mask": row_mask} if self.takes_masks else {}
        return self(inputs, **masks, **kwargs)

    def run_groups(self, rows, group_sizes, mask=None, training=None):
        """Each expert's answers to its own rows; where all sizes are known, also to a compiler.

        Args:
            rows: tensor of shape (m, ...): the rows of expert 0, then those of expert 1, and so on.
            group_sizes: integer tensor of shape (E,), how many rows each expert has. Nobody takes
                the answers to rows beyond.
            mask: boolean tensor of the rows' first axes, two or more, or `None`.
            training: passed on to the experts.

        Returns:
            Tensor of shape (m, ...).
        """
        raise NotImplementedError

    def objection_to_blocks(self, row_shape, dtype, mask=None, training=None):
        """Why `run_groups` would not give what each expert gives on all its rows at once.

        Args:
            row_shape, dtype: of the rows.
            mask, training: as `run_groups` gets them; the mask of all tokens.

        Returns:
            A string for the error message, or `None`: it would.
        """
        return None
