"""How one expert is asked about the tokens that chose it, which may be none."""

from keras import ops


def ask(expert, tokens, training):
    """The expert's answer to `tokens`; if there are none, an answer without rows.

    No expert is run on an empty batch: the moving statistics of batch normalisation would take up
    the mean of no tokens (NaN, for good), and the gradient of TensorFlow's max pooling ends the
    process. An expert without tokens is shown a row of zeros instead and its answer is dropped, so
    that its gradients are zeros; if it keeps anything without a gradient, it is asked as in
    inference.

    Args:
        expert: a Keras layer or model.
        tokens: tensor of shape (n, ...), n = 0 allowed.
        training: whether the model is being trained.

    Returns:
        The expert's answer, of shape (n, ...).
    """

    def answer_to_none():
        return expert(_zeros(tokens, 1), training=False)[:0]

    size = ops.shape(tokens)[0]
    if isinstance(size, int):
        return expert(tokens, training=training) if size else answer_to_none()
    if training and expert.non_trainable_weights:
        return ops.cond(size > 0, lambda: expert(tokens, training=True), answer_to_none)
    padding = _zeros(tokens, ops.cast(ops.equal(size, 0), "int32"))
    return expert(ops.concatenate([tokens, padding]), training=training)[:size]


def _zeros(tokens, count):
    return ops.zeros((count, *ops.shape(tokens)[1:]), tokens.dtype)
