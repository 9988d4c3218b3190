"""Whether an answer agrees with the reference on cases drawn at random, and what to say if not."""

import inspect
import reprlib

import numpy as np

from moe_labs.exercises.wrong_answer import WrongAnswer

TOLERANCE = 1e-4
SHOWN = 12  # numbers: a case with more is told by its shapes


def require_agreement(answer, exercise, seeds):
    """Raise `WrongAnswer` unless an answer does what the exercise's reference does.

    Args:
        answer: the student's function.
        exercise: the `Exercise`, with its cases, ways, form and mistakes.
        seeds: whole numbers; for each, new cases are drawn.
    """
    names = list(inspect.signature(exercise.function).parameters)

    def results(function, way):
        """For each case what a function makes of it. The arguments are drawn anew each time."""
        for args in _cases(exercise, seeds):
            before = [_copy(value) for value in args]
            try:
                found = way(function, args, names, exercise.returns)
                _require_unchanged(before, args, names)
            except WrongAnswer as mistake:
                found = mistake
            yield before, found

    for number, way in enumerate(exercise.ways):
        right = [found for _, found in results(exercise.function, way)]
        answers, problem = _tried(results(answer, way), right, exercise.title, names)
        if problem is None:
            continue
        # Whatever is right in the first way is none of the mistakes.
        for mistake, message in exercise.mistakes if number == 0 else ():
            if _same(answers, results(mistake, way)):
                raise WrongAnswer(message)
        raise problem


def right_parts(answer, exercise, seeds):
    """Which of the several things that an answer returns are right on all cases.

    Args:
        answer: the student's function.
        exercise: the `Exercise`; its `returns` is a `Several`.
        seeds: whole numbers; for each, new cases are drawn.

    Returns:
        List of their names; empty if the answer stops with an error on some case.
    """
    names = list(inspect.signature(exercise.function).parameters)
    way = exercise.ways[0]
    right = set(exercise.returns.parts)
    try:
        for args, again in zip(_cases(exercise, seeds), _cases(exercise, seeds), strict=True):
            found = way(answer, args, names, exercise.returns)
            expected = way(exercise.function, again, names, exercise.returns)
            for name, (_, got), (_, wanted) in zip(
                exercise.returns.parts, found, expected, strict=True
            ):
                if _difference(name, got, wanted):
                    right.discard(name)
    except Exception:  # a student's code may raise anything; `WrongAnswer` is one of them
        return []
    return [name for name in exercise.returns.parts if name in right]


def _tried(answers, right, title, names):
    """What an answer gives for each case, and how it first differs: an exception, or None.

    Of an answer that stops with an error the exception is that error.
    """
    given, problem = [], None
    try:
        for (args, found), expected in zip(answers, right, strict=True):
            given.append(found)
            if problem is None:
                problem = _problem(found, expected, f"(Tried: {_told(title, args, names)}.)")
    except Exception as error:
        return [], problem or error
    # What was right may have been overwritten since.
    if problem is None and any(_problem(*each, "") for each in zip(given, right, strict=True)):
        problem = WrongAnswer(
            "It is right at first, but a later call changes what an earlier one returned. Make a "
            "new array or tensor in each call."
        )
    return given, problem


def _problem(found, expected, tried):
    if isinstance(found, WrongAnswer):
        return found
    for (what, got), (_, wanted) in zip(found, expected, strict=True):
        if difference := _difference(what, got, wanted):
            return WrongAnswer(f"{difference} {tried}")
    return None


def _difference(what, got, wanted):
    """A sentence on the first entry that differs, or None."""
    if got.dtype == object or wanted.dtype == object:
        return (
            None
            if np.array_equal(got, wanted)
            else (f"{what} is {_list(got)}; expected {_list(wanted)}.")
        )
    if got.shape != wanted.shape:
        return (
            f"{what} has the shape {got.shape}; expected {wanted.shape}"
            f"{about_axes(got.shape, wanted.shape)}"
        )
    wrong = ~_close(got, wanted)
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f", at [{', '.join(map(str, place))}]," if place else ""
    one, other = _distinct(got[place], wanted[place])
    if got.dtype.kind == "f" and not np.isfinite(got[place]):
        return (
            f"{what}{where} is {one}, not a finite number; expected {other}. Is there a division "
            "by 0, the logarithm of 0, or a power too large?"
        )
    if got.dtype.kind in "iub" and wanted.dtype.kind == "f" and (wanted % 1).any():
        return (
            f"{what} is made of whole numbers ({got.dtype}), which cut off what stands behind the "
            f"point{where} it is {one}; expected {other}."
        )
    return f"{what}{where} is {one}; expected {other}."


def _close(got, wanted):
    # Two whole numbers agree or they do not: of a million, a tolerance would forgive a hundred.
    rtol = 0 if got.dtype.kind in "iub" and wanted.dtype.kind in "iub" else TOLERANCE
    return np.isclose(got.astype("float64"), wanted.astype("float64"), rtol=rtol, atol=TOLERANCE)


def about_axes(got, wanted):
    """What may be wrong about a shape: the end of a sentence."""
    if len(got) > len(wanted):
        return ": an axis too many, is a sum over it missing?"
    if len(got) < len(wanted):
        return ": an axis is missing, did a sum, a mean or an index take it away?"
    if sorted(got) == sorted(wanted):
        return ": the same axes in another order."
    return "."


def _distinct(got, wanted):
    """Both numbers with as many digits as it takes to tell them apart, three or more."""
    for digits in range(3, 12):
        pair = [f"{float(value):.{digits}g}" for value in (got, wanted)]
        if pair[0] != pair[1]:
            break
    return pair


def _told(title, args, names):
    """The call, with its arguments if they are short and their shapes if not."""
    arrays = [value for value in args if isinstance(value, np.ndarray)]
    small = sum(array.size for array in arrays) <= SHOWN
    told = ", ".join(
        f"{name}={_argument(value, small)}" for name, value in zip(names, args, strict=False)
    )
    return f"{title}({told})"


def _argument(value, small):
    if isinstance(value, np.ndarray):
        return _list(value) if small else f"<{value.dtype} {value.shape}>"
    if isinstance(value, list | tuple) and any(
        isinstance(v, np.ndarray) or callable(v) for v in value
    ):
        return "[" + ", ".join(_argument(v, small=False) for v in value) + "]"
    if hasattr(value, "equals"):  # a table of pandas
        return f"<table of {len(value)} rows: {', '.join(value.columns)}>"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return reprlib.repr(value)


def _list(array):
    rounded = np.round(array.astype("float64"), 3) if array.dtype.kind == "f" else array
    return str(rounded.tolist())


def _same(answers, mistaken):
    """Whether an answer gives what a mistake gives, on all cases."""
    try:
        return bool(answers) and all(
            _alike(found, other) for found, (_, other) in zip(answers, mistaken, strict=True)
        )
    except Exception:
        return False


def _alike(found, other):
    if isinstance(found, WrongAnswer) or isinstance(other, WrongAnswer):
        return type(found) is type(other) and str(found) == str(other)
    return all(_equal(a, b) for (_, a), (_, b) in zip(found, other, strict=True))


def _equal(one, other):
    if one.shape != other.shape:
        return False
    if object in (one.dtype, other.dtype):
        return np.array_equal(one, other)
    one, other = one.astype("float64"), other.astype("float64")
    return np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


def _cases(exercise, seeds):
    for seed in seeds:
        yield from exercise.cases(np.random.default_rng(seed))


def _leaves(value):
    """All that is in lists, tuples and dictionaries, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _copy(value):
    """A copy, also of all that is in lists, tuples and dictionaries."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_copy, value))
    return value.copy() if hasattr(value, "copy") else value


def _require_unchanged(before, args, names):
    for name, old, new in zip(names, before, args, strict=False):
        old, new = _leaves(old), _leaves(new)
        if len(old) != len(new) or not all(map(_unchanged, old, new)):
            raise WrongAnswer(
                f"Your code changes its input `{name}`, which the lab still needs. Make a copy "
                f"first: {name}.copy(), or write x = x + 1 where you write x += 1."
            )


def _unchanged(old, new):
    if hasattr(old, "equals"):  # a table of pandas
        return old.equals(new)
    if not isinstance(old, np.ndarray):
        return old is new or old == new
    return (
        isinstance(new, np.ndarray)
        and old.dtype == new.dtype
        and np.array_equal(old, new, equal_nan=old.dtype.kind == "f")
    )
