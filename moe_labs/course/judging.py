"""The process that judges answers and runs none: it has the references, and asks `answers.py`.

    python -m moe_labs.course.judging ORDER

runs a lab's own graded cells, as the gradebook has them, with answers that live in the other
process. ORDER is a JSON file; a line of JSON for each cell goes to its `verdicts`.
"""

import ast
import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from moe_labs.course.answers import CannotCross, Channel, Ended, decode, encode


class RemoteAnswer:
    """A function that runs in the other process; it looks like one that runs here."""

    def __init__(self, name, channel):
        self.__name__ = self.__qualname__ = name
        self.channel = channel
        self.functions = {}

    def __call__(self, *args, **kwargs):
        tensors = _tensors_in((args, kwargs))
        if tensors and _is_symbolic(tensors):
            return self._compiled(args, kwargs, tensors)
        message = [encode(args, self._name_of), encode(kwargs, self._name_of)]
        reply = self.ask("call", name=self.__name__, args=message[0], kwargs=message[1])
        if reply["call"] is None or not tensors:
            return decode(reply["value"], None, _tensor)
        return self._connected(reply, tensors)

    def ask(self, what, **how):
        """What the other process answers, after what it asks on its way."""
        self.channel.send({"do": what, "with": how})
        while True:
            reply = self.channel.receive()
            if "result" in reply:
                return reply["result"]
            if "cannot" in reply:
                raise CannotCross(str(reply["cannot"]))
            if "error" in reply:
                kind, text = map(str, reply["error"])
                raise _error(kind, text)
            self.channel.send(self._asked(reply))

    def _asked(self, question):
        """The answer to a call of one of our functions."""
        try:
            args, kwargs = (decode(part, None, _tensor) for part in question["with"])
            return {"result": encode(self.functions[question["do"]](*args, **kwargs))}
        except (CannotCross, Exception) as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}

    def _name_of(self, function):
        name = f"function {id(function)}"
        self.functions[name] = function
        return name

    def _connected(self, reply, tensors):
        """The result, with gradients that the other process works out."""
        import tensorflow as tf

        result = decode(reply["value"], None, _tensor)
        leaves = tf.nest.flatten(result)
        outputs = [leaf for leaf in leaves if tf.is_tensor(leaf)]
        if not outputs:
            return result

        @tf.custom_gradient
        def connect(*inputs):
            def gradient(*upstream):
                asked = encode([np.asarray(value) for value in upstream])
                found = decode(self.ask("gradient", call=reply["call"], upstream=asked))
                return [None if slope is None else tf.constant(slope) for slope in found]

            return [tf.identity(output) for output in outputs], gradient

        connected = iter(connect(*map(tf.convert_to_tensor, tensors)))
        leaves = [next(connected) if tf.is_tensor(leaf) else leaf for leaf in leaves]
        return tf.nest.pack_sequence_as(result, leaves)

    def _compiled(self, args, kwargs, tensors):
        import tensorflow as tf

        if kwargs:
            raise CannotCross("named arguments in a training step")
        specs = [[tensor.shape.as_list(), tensor.dtype.name] for tensor in tensors]
        # An array stands in for each: what is made here would be part of the training step.
        filled = tf.nest.map_structure(
            lambda leaf: Stands(leaf.shape.rank, leaf.dtype) if _is_tensor(leaf) else leaf, args
        )
        args = encode(filled, self._name_of)
        traced = self.ask("trace", name=self.__name__, args=args, specs=specs)

        def run(*values):
            given = encode([value.numpy() for value in values])
            return list(decode(self.ask("run", step=traced["step"], args=given)))

        kinds = [kind for _, kind in traced["outputs"]]
        outputs = tf.py_function(run, tensors, kinds)
        for output, (shape, _) in zip(outputs, traced["outputs"], strict=True):
            output.set_shape(shape)
        return tf.nest.pack_sequence_as(decode(traced["form"]), list(outputs))


class Stands:
    """The place of a tensor, which `encode` takes for one."""

    def __init__(self, rank, dtype):
        self.dtype = dtype
        self.zeros = np.zeros([1] * rank, dtype.as_numpy_dtype)

    def numpy(self):
        return self.zeros

    def __array__(self, dtype=None, copy=None):
        return self.zeros if dtype is None else self.zeros.astype(dtype)


def _tensors_in(structure):
    if "tensorflow" not in sys.modules:
        return []
    import tensorflow as tf

    return [leaf for leaf in tf.nest.flatten(structure) if _is_tensor(leaf)]


def _is_tensor(leaf):
    import tensorflow as tf

    return isinstance(leaf, tf.Tensor | tf.Variable)


def _is_symbolic(tensors):
    import tensorflow as tf

    return any(tf.is_symbolic_tensor(tensor) for tensor in tensors if not _is_variable(tensor))


def _is_variable(tensor):
    import tensorflow as tf

    return isinstance(tensor, tf.Variable)


def _tensor(array):
    import tensorflow as tf

    return tf.constant(array)


def _error(kind, text):
    """An exception like the one there: a stub that nobody has begun, or any other."""
    return RuntimeError(f"{kind}: {text}"[:500])


def judge(order, channel, verdicts):
    """Judge each exercise in turn; its verdict is written before the next one's turn."""
    names = {"__name__": "__main__", "display": lambda *things: None}
    for text in order["setup"]:
        with contextlib.suppress(Exception):  # it may need data; what is judged needs none
            exec(compile(text, "<lab>", "exec"), names)
    loader = RemoteAnswer("load", channel)
    for exercise in order["exercises"]:
        if exercise["wrong"]:  # its mark is decided; the answers after it go on with the reference
            names |= dict.fromkeys(exercise["names"])
            with contextlib.suppress(Exception):
                exec(compile(exercise["source"], "<lab>", "exec"), names)
    known = {
        f"reference {name}": names[name]
        for exercise in order["exercises"]
        if exercise["wrong"]
        for name in exercise["names"]
        if callable(names.get(name))
    }
    given = [name.split(" ", 1)[1] for name in known]
    failed = loader.ask("load", chunks=order["answers"], given=given)
    for exercise in order["exercises"]:
        if exercise["wrong"] or exercise["done"]:
            continue
        for name in exercise["names"]:
            answer = RemoteAnswer(name, channel)
            answer.functions |= known
            names[name] = answer
        verdict = _verdict(exercise, names)
        said = {"id": exercise["id"], "verdict": verdict, "failed": failed}
        verdicts.write(json.dumps(said) + "\n")
        verdicts.flush()


def _verdict(exercise, names):
    try:
        share = _value(exercise["source"], names)
    except CannotCross as error:
        return ["cannot", str(error)]
    except Ended:
        raise
    except BaseException as error:
        return ["wrong", f"{type(error).__name__}: {error}"[:1000]]
    # As nbgrader reads a test: a number is what a partly right answer earns, nothing is all marks.
    if share is not None and share < exercise["earned"]:
        return ["wrong", f"it earns {exercise['earned']:g} there, and {share:g} here"]
    return ["right", ""]


def _value(source, names):
    """What the last line of a cell gives, as a notebook shows it; None if it is no number."""
    *lines, last = ast.parse(source).body
    exec(compile(ast.Module(lines, []), "<lab>", "exec"), names)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), "<lab>", "exec"), names)
        return None
    value = eval(compile(ast.Expression(last.value), "<lab>", "eval"), names)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def main():
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    channel = Channel(os.dup(0), os.dup(1))
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(quiet, descriptor)
    with open(order["verdicts"], "a", encoding="utf-8") as verdicts:
        try:
            judge(order, channel, verdicts)
        except Ended:
            os._exit(3)


if __name__ == "__main__":
    main()
