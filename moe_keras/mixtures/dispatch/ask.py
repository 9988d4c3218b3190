"""How one expert is asked about the tokens that chose it, which may be none."""

from keras import ops


def ask(expert, tokens, empty, training):
    """The expert's answer to its tokens, or to the one that stands for none.

    No expert is run on an empty batch: the moving statistics of batch normalisation would take up
    the mean of no tokens (NaN, for good), and the gradient of TensorFlow's max pooling ends the
    process. An expert without tokens gets some token instead, and no one takes its answer, so
    that its gradients are zeros; if it keeps anything without a gradient, it is asked as in
    inference.

    Args:
        expert: a Keras layer or model.
        tokens: tensor of shape (n, ...), n at least 1.
        empty: whether no token chose the expert; a tensor where TensorFlow makes a graph.
        training: whether the model is being trained.

    Returns:
        The expert's answer, of shape (n, ...).
    """
    if not (training and expert.non_trainable_weights):
        return expert(tokens, training=training)
    if isinstance(empty, bool):
        return expert(tokens, training=not empty)
    return ops.cond(
        empty, lambda: expert(tokens, training=False), lambda: expert(tokens, training=True)
    )
