"""Assignment of labels to experts."""

import numpy as np


def even_assignment(num_classes, num_experts):
    """Assign the labels to experts evenly, in their order.

    Args:
        num_classes: Integer, number of labels C, from 0 to C - 1.
        num_experts: Integer, number of experts E, at most C.

    Returns:
        Tuple of E tuples of labels.

    Raises:
        ValueError: if there are more experts than labels, or no expert.

    Example:

    >>> even_assignment(10, 5)
    ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    """
    if not 1 <= num_experts <= num_classes:
        raise ValueError(
            "Expected at least one label for each expert. "
            f"Received: {num_experts} experts and {num_classes} labels"
        )
    parts = np.array_split(np.arange(num_classes), num_experts)
    return tuple(tuple(part.tolist()) for part in parts)


def parse_assignment(text, num_classes, num_experts):
    """Parse an assignment of labels such as "0,1|2,3|4,5|6,7|8,9", one group for each expert.

    Args:
        text: String, groups between `|`, labels between commas.
        num_classes: Integer, number of labels C; each from 0 to C - 1 comes once.
        num_experts: Integer, number of experts E, one for each group.

    Returns:
        Tuple of E tuples of labels.

    Raises:
        ValueError: if the text cannot be read, the groups are not E, or a label is missing, comes
            twice or is out of range.

    Example:

    >>> parse_assignment("0,2|1", num_classes=3, num_experts=2)
    ((0, 2), (1,))
    """
    try:
        groups = tuple(tuple(int(label) for label in group.split(",")) for group in text.split("|"))
    except ValueError:
        raise ValueError(
            'Expected labels between commas and experts between bars, as in "0,1|2,3". '
            f"Received: {text!r}"
        ) from None
    if len(groups) != num_experts:
        raise ValueError(
            f"Expected a group of labels for each of {num_experts} experts. "
            f"Received: {len(groups)} groups in {text!r}"
        )
    labels = [label for group in groups for label in group]
    faults = {
        "missing": sorted(set(range(num_classes)) - set(labels)),
        "twice": sorted({label for label in labels if labels.count(label) > 1}),
        "out of range": sorted(set(labels) - set(range(num_classes))),
    }
    if any(faults.values()):
        details = "; ".join(f"{what}: {found}" for what, found in faults.items() if found)
        raise ValueError(
            f"Expected each label from 0 to {num_classes - 1} once. Received: {text!r} ({details})"
        )
    return groups


def assignment_matrix(groups):
    """Assignment of labels to experts as a matrix of 0 and 1, for `LabelGuidedGate`.

    Args:
        groups: Sequence of sequences of integers, labels of each expert; together 0 to C - 1. A
            label may have several experts.

    Returns:
        Array (C, E).

    Example:

    >>> assignment_matrix([(0, 2), (1,)]).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    matrix = np.zeros((1 + max(map(max, groups)), len(groups)))
    for expert, labels in enumerate(groups):
        matrix[list(labels), expert] = 1
    return matrix
