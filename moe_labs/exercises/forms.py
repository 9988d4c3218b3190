"""What an answer returns: how a check reads it, and the form in which the lab goes on with it.

A right answer may be a list, a NumPy array or a tensor; the cells after it need one of these. Each
form has two methods: `read` turns what came back into arrays that can be compared, `give` into what
the lab goes on with.
"""

import numpy as np

from moe_labs.exercises.wrong_answer import WrongAnswer

NUMBERS = "biuf"


class Array:
    """A NumPy array; lists of numbers and tensors are read as well.

    Args:
        kind: what the lab goes on with: "float", "int" or "bool". Whole numbers may stand for
            fractions, and 0 and 1 for false and true, if their values are right. None leaves the
            kind as it is.
    """

    def __init__(self, kind="float"):
        self.kind = kind

    def read(self, value, what):
        """The value as a list of pairs: what it is called, and an array.

        Raises:
            WrongAnswer: if it is nothing that could be one.
        """
        if value is None:
            raise WrongAnswer(f"{what} is None, nothing: does your function end with `return`?")
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):
            array = np.asarray(None)
        if array.dtype.kind not in NUMBERS:
            raise WrongAnswer(
                f"{what} must be an array or a tensor of numbers; it is a {type(value).__name__}."
            )
        return [(what, array)]

    def give(self, value):
        """The value as the lab goes on with it."""
        array = np.asarray(value)
        if self.kind is None or (self.kind == "float" and array.dtype.kind == "f"):
            return array[()]
        return array.astype({"float": "float32"}.get(self.kind, self.kind))[()]


class Tensor(Array):
    """A tensor, from which a loss or a network goes on: given on as it comes; a list as a tensor.

    Args:
        kind: "int" where the lab needs whole numbers.
    """

    def __init__(self, kind=None):
        super().__init__(kind)

    def give(self, value):
        import keras  # only here: a lab on NumPy alone need not wait for it

        if isinstance(value, list | tuple):
            value = keras.ops.convert_to_tensor(value)
        return value if self.kind is None else keras.ops.cast(value, f"{self.kind}32")


class Indices(Array):
    """The numbers of some things, in any order, whatever axes of length 1 stand around them."""

    def __init__(self):
        super().__init__("int")

    def read(self, value, what):
        ((_, array),) = super().read(_listed(value), what)
        array = _flat(array)
        is_several = array.ndim == 1 and array.dtype.kind != "b"
        # As objects they are compared and told as a list, however many they are.
        return [(what, np.sort(array).astype(object) if is_several else array)]

    def give(self, value):
        return _flat(super().give(_listed(value)))


def _listed(value):
    return list(value) if isinstance(value, set | frozenset) else value


def _flat(array):
    """An array as `np.flatnonzero` gives it, from one as `np.where` or `np.argwhere` does."""
    return np.atleast_1d(np.squeeze(array)) if array.ndim > 1 else array


class Number(Array):
    """One number, whatever axes of length 1 stand around it."""

    def read(self, value, what):
        ((_, array),) = super().read(value, what)
        if array.size != 1:
            raise WrongAnswer(f"{what} must be one number; its shape is {tuple(array.shape)}.")
        return [(what, array.reshape(()))]

    def give(self, value):
        return np.reshape(super().give(value), ())[()]


class Text:
    """A word; with `several=True` a collection of them, in any order."""

    def __init__(self, several=False):
        self.several = several

    def read(self, value, what):
        if value is None:
            raise WrongAnswer(f"{what} is None, nothing: does your function end with `return`?")
        if self.several == isinstance(value, str) or (
            self.several and not hasattr(value, "__iter__")
        ):
            expected = "a list of texts" if self.several else "a text"
            raise WrongAnswer(f"{what} must be {expected}; it is a {type(value).__name__}.")
        words = sorted(map(str, value)) if self.several else str(value)
        return [(what, np.array(words, dtype=object))]

    def give(self, value):
        return list(value) if self.several else value


class Network:
    """A Keras network, built for inputs of this shape even if it does not begin with an Input."""

    def __init__(self, *shape):
        self.shape = shape

    def give(self, value):
        if not value.built:
            value(np.zeros((1, *self.shape), "float32"))
        return value


class Several:
    """Several things in a fixed order, such as `return low, high`.

    Args:
        parts: the name of each, to its form.
    """

    def __init__(self, **parts):
        self.parts = parts

    def read(self, value, what):
        found = []
        for (name, form), part in zip(self.parts.items(), self._split(value, what), strict=True):
            found += form.read(part, f"`{name}` of {what[0].lower()}{what[1:]}")
        return found

    def give(self, value):
        return tuple(form.give(part) for form, part in zip(self.parts.values(), value, strict=True))

    def _split(self, value, what):
        if value is None:
            raise WrongAnswer(f"{what} is None, nothing: does your function end with `return`?")
        parts = (
            list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
        )
        if len(parts) != len(self.parts):
            raise WrongAnswer(
                f"{what} must be {len(self.parts)} things, {', '.join(self.parts)}; "
                f"yours are {len(parts)}."
            )
        return parts
