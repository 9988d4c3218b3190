"""Groups of classes, such as natural and artificial."""

import numpy as np

from moe_keras.data.specs import get_spec


def groups(name):
    """Groups of a dataset's classes, in the order of their index.

    Args:
        name: String, name of the dataset: "cifar10", "mnist" or "fashion_mnist".

    Returns:
        Dictionary from each group's name to its tuple of class ids, a new one each time.

    Raises:
        ValueError: if the dataset is unknown.

    Example:

    >>> from moe_keras import data
    >>> data.groups("cifar10")
    {'natural': (2, 3, 4, 5, 6, 7), 'artificial': (0, 1, 8, 9)}
    """
    return dict(get_spec(name).groups)


def group_labels(labels, groups):
    """Index of the group that each label belongs to.

    Args:
        labels: Integer array of class ids, of any shape.
        groups: Dictionary as `groups(name)` returns it, or sequence of sequences of class ids, one
            for each group. The first group has index 0.

    Returns:
        int32 array of the labels' shape.

    Raises:
        ValueError: if a class id is in two groups, a label is in none, or labels are not integers.

    Example:

    >>> from moe_keras import data
    >>> data.group_labels([2, 0, 7, 9], data.groups("cifar10"))  # bird, airplane, horse, truck
    array([0, 1, 0, 1], dtype=int32)
    """
    labels = np.asarray(labels)
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`labels` must be integer class ids (not one-hot rows). Received: "
            f"dtype {labels.dtype}, shape {labels.shape}"
        )
    members = list(groups.values() if hasattr(groups, "values") else groups)
    group_of = {}
    for index, class_ids in enumerate(members):
        for class_id in class_ids:
            if class_id in group_of:
                raise ValueError(
                    f"Each class id must be in one group. Received: class id {class_id} twice in "
                    f"groups={members}"
                )
            group_of[class_id] = index
    present, inverse = np.unique(labels, return_inverse=True)
    missing = [int(label) for label in present if label not in group_of]
    if missing:
        raise ValueError(
            f"Every label must be in a group. Received: labels {missing}, which are in none of "
            f"groups={members}"
        )
    indices = np.array([group_of[label] for label in present.tolist()], np.int32)
    return indices[inverse].reshape(labels.shape)
