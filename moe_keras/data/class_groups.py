"""Class names and groups of classes: the one place where class ids are written down."""

import numpy as np

CIFAR10_NATURAL = (2, 3, 4, 5, 6, 7)
CIFAR10_ARTIFICIAL = (0, 1, 8, 9)
LOW_DIGITS = (0, 1, 2, 3, 4)
HIGH_DIGITS = (5, 6, 7, 8, 9)
FASHION_CLOTHES = (0, 1, 2, 3, 4, 6)
FASHION_SHOES_AND_BAGS = (5, 7, 8, 9)

# Expert e of a label-guided mixture of five answers for the e-th pair.
GUIDED_PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))

CLASS_NAMES = {
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    "mnist": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "fashion_mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}

# In the order of the group's index: natural is group 0, artificial is group 1.
_GROUPS = {
    "cifar10": {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL},
    "mnist": {"0-4": LOW_DIGITS, "5-9": HIGH_DIGITS},
    "fashion_mnist": {"clothes": FASHION_CLOTHES, "shoes and bags": FASHION_SHOES_AND_BAGS},
}


def groups(name):
    """The two groups of a dataset's classes, in the order of their index.

    Args:
        name: "cifar10", "mnist" or "fashion_mnist".

    Returns:
        A new dictionary from each group's name to its tuple of class ids.

    Raises:
        ValueError: if the dataset is unknown.

    Example:

    >>> from moe_keras import data
    >>> data.groups("cifar10")
    {'natural': (2, 3, 4, 5, 6, 7), 'artificial': (0, 1, 8, 9)}
    """
    if name not in _GROUPS:
        raise ValueError(f"`name` must be one of {', '.join(_GROUPS)}. Received: name={name!r}")
    return dict(_GROUPS[name])


def group_labels(labels, groups):
    """The index of the group that each label belongs to.

    Args:
        labels: array of class ids of any shape, integers.
        groups: class ids for each group: a dictionary as `groups(name)` gives it, or a sequence of
            sequences. The first group has index 0.

    Returns:
        An int32 array of the labels' shape.

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
