"""Checks of arguments that several layers take; each returns the value in its plain form."""

import math
import numbers


def positive_integer(name, value):
    """`value` as an int, if it is a whole number of at least 1.

    >>> positive_integer("num_experts", 3)
    3
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(
            f"Expected {name} to be a whole number of at least 1. Received: {name}={value!r}"
        )
    return int(value)


def positive_number(name, value):
    """`value` as a float, if it is a finite number above 0.

    >>> positive_number("temperature", 2)
    2.0
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"Expected {name} to be a finite number above 0. Received: {name}={value!r}"
        )
    return float(value)


def distinct_ids(name, ids, limit=None):
    """`ids` as a tuple of ints, if there is at least one, all from 0 to `limit` - 1, none twice.

    >>> distinct_ids("class_ids", [8, 0, 1], limit=10)
    (8, 0, 1)
    """
    ids = tuple(ids)
    whole = all(isinstance(i, numbers.Integral) and not isinstance(i, bool) for i in ids)
    if not ids or not whole or min(ids) < 0 or (limit is not None and max(ids) >= limit):
        bounds = "of 0 or more" if limit is None else f"from 0 to {limit - 1}"
        raise ValueError(
            f"Expected {name} to be one or more whole numbers {bounds}. Received: {name}={ids}"
        )
    twice = sorted({int(i) for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"Expected {name} to hold no id twice. Received: {twice} twice in {ids}")
    return tuple(int(i) for i in ids)
