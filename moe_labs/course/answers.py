"""The process that runs a student's answers, and nothing else of the lab: it reads no reference.

It stands alone: a copy of this file runs in a sandbox that shows nothing of the course. Messages
are JSON, each behind its length. Only numbers, arrays, texts and collections of these pass, and
functions as names that the other side calls: the side that judges runs nothing of a student.
"""

import base64
import json
import os
import struct
import sys

import numpy as np

LONGEST = 2**30
NUMBERS = "biufcUS"


class CannotCross(BaseException):
    """A value that does not pass between the processes. No answer's `except Exception` stops it."""


class Ended(BaseException):
    """The other side is gone."""


class Channel:
    """Two pipes to the other process.

    Args:
        incoming: file descriptor to read from.
        outgoing: file descriptor to write to.
    """

    def __init__(self, incoming, outgoing):
        self.incoming, self.outgoing = os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")

    def send(self, message):
        data = json.dumps(message).encode()
        try:
            self.outgoing.write(struct.pack("<Q", len(data)) + data)
            self.outgoing.flush()
        except (OSError, ValueError) as error:
            raise Ended from error

    def receive(self):
        try:
            head = self.incoming.read(8)
            size = struct.unpack("<Q", head)[0]
            data = self.incoming.read(size) if size < LONGEST else b""
            return json.loads(data)
        except (OSError, ValueError, struct.error, RecursionError) as error:
            raise Ended from error


def encode(value, name_function=None):
    """A value as JSON can hold it.

    Args:
        value: what is to pass.
        name_function: gives a function a name by which the other side may call it. Default: none
            may pass.

    Raises:
        CannotCross: if it is something else.
    """
    again = lambda item: encode(item, name_function)  # noqa: E731
    if value is None or (isinstance(value, bool | str | int | float) and not _is_numpy(value)):
        return {"plain": value} if not isinstance(value, int) or abs(value) < 2**63 else _no(value)
    if isinstance(value, bytes | bytearray):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if isinstance(value, np.ndarray | np.generic):
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: _packed(value)}
    if type(value) in (list, tuple, set, frozenset):
        return {type(value).__name__: [again(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[again(key), again(item)] for key, item in value.items()]}
    if hasattr(value, "numpy") and hasattr(value, "dtype"):
        return {"tensor": _packed(np.asarray(value))}
    if hasattr(value, "__array__") and not callable(value):  # a column of pandas, for one
        return {"array": _packed(value)}
    if callable(value) and name_function is not None:
        return {"function": name_function(value)}
    return _no(value)


def decode(message, function_of=None, tensor=None):
    """The value that a message holds.

    Args:
        message: what `encode` gave, and came through a pipe.
        function_of: makes a function of a name. Default: none passes.
        tensor: makes a tensor of an array. Default: it stays an array.
    """
    again = lambda item: decode(item, function_of, tensor)  # noqa: E731
    ((kind, value),) = message.items()
    if kind == "plain":
        return value
    if kind == "bytes":
        return base64.b64decode(value)
    if kind == "slice":
        return slice(*value)
    if kind == "array":
        return _unpacked(value)
    if kind == "scalar":
        return _unpacked(value)[()]
    if kind in ("list", "tuple", "set", "frozenset"):
        made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
        return made(map(again, value))
    if kind == "dict":
        return {again(key): again(item) for key, item in value}
    if kind == "tensor":
        array = _unpacked(value)
        return tensor(array) if tensor else array
    if kind == "function" and function_of is not None:
        return function_of(value)
    raise ValueError(kind)


def _is_numpy(value):
    return isinstance(value, np.generic)


def _packed(value):
    array = np.asarray(value)
    if type(array) is not np.ndarray or array.dtype.kind not in NUMBERS:
        _no(value)
    data = np.ascontiguousarray(array).tobytes()
    return [array.dtype.str, list(array.shape), base64.b64encode(data).decode()]


def _unpacked(packed):
    dtype, shape, data = packed
    dtype = np.dtype(dtype)
    if dtype.kind not in NUMBERS or dtype.hasobject:
        raise ValueError(dtype)
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()


def _no(value):
    raise CannotCross(f"a {type(value).__name__} does not pass to another process")


class Answers:
    """Runs what the other side asks for.

    Args:
        channel: a `Channel` to it.
    """

    def __init__(self, channel):
        self.channel = channel
        self.names = {"__name__": "__main__", "display": lambda *things: None}
        self.calls = []  # inputs, outputs and tape of those with tensors
        self.traced = []

    def serve(self):
        while True:
            request = self.channel.receive()
            self.channel.send(self._answered(request))

    def _answered(self, request):
        try:
            return {"result": getattr(self, f"on_{request['do']}")(**request["with"])}
        except CannotCross as error:
            return {"cannot": str(error)[:300]}
        except Ended:
            raise
        except BaseException as error:  # a student's code may raise anything
            return {"error": [type(error).__name__, _text(error)]}

    def on_load(self, chunks, given):
        """Run definitions one after the other, whatever becomes of each; say what failed."""
        failed = []
        for chunk in chunks:
            try:
                exec(compile(chunk, "<answer>", "exec"), self.names)
            except BaseException as error:
                failed.append(f"{type(error).__name__}: {_text(error)}")
        for name in given:
            self.names[name] = self._function_there(f"reference {name}")
        return failed[:20]

    def on_call(self, name, args, kwargs):
        tensors = []

        def tensor(array):
            import tensorflow as tf

            tensors.append(tf.constant(array))
            return tensors[-1]

        args = decode(args, self._function_there, tensor)
        kwargs = decode(kwargs, self._function_there, tensor)
        function = self.names[name]
        if not tensors:
            return {"value": encode(function(*args, **kwargs)), "call": None}
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            tape.watch([t for t in tensors if t.dtype.is_floating])
            result = function(*args, **kwargs)
        self.calls.append((tape, tensors, result))
        return {"value": encode(result), "call": len(self.calls) - 1}

    def on_gradient(self, call, upstream):
        import tensorflow as tf

        tape, inputs, result = self.calls[call]
        outputs = [leaf for leaf in tf.nest.flatten(result) if tf.is_tensor(leaf)]
        upstream = [tf.constant(array) for array in decode(upstream)]
        slopes = tape.gradient(outputs, inputs, output_gradients=upstream)
        found = [None if s is None else np.asarray(tf.convert_to_tensor(s)) for s in slopes]
        return encode(found)

    def on_trace(self, name, args, specs):
        """Compile it for tensors of which not all sizes are known."""
        import tensorflow as tf

        signature = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]

        @tf.function(input_signature=signature, autograph=False)
        def step(*given):
            given = iter(given)
            whole = decode(args, self._function_there, lambda array: next(given))
            return self.names[name](*whole)

        traced = step.get_concrete_function()
        self.traced.append(traced)
        outputs = traced.structured_outputs
        leaves = tf.nest.flatten(outputs)
        if not all(isinstance(leaf, tf.TensorSpec | tf.Tensor) for leaf in leaves):
            raise CannotCross("in a training step it returns what is no tensor")
        form = tf.nest.map_structure(lambda leaf: None, outputs)
        return {
            "step": len(self.traced) - 1,
            "form": encode(form),
            "outputs": [[leaf.shape.as_list(), leaf.dtype.name] for leaf in leaves],
        }

    def on_run(self, step, args):
        import tensorflow as tf

        result = self.traced[step](*map(tf.constant, decode(args)))
        return encode([np.asarray(leaf) for leaf in tf.nest.flatten(result)])

    def _function_there(self, name):
        """A function that the other side runs."""

        def function_there(*args, **kwargs):
            args, kwargs = encode(args), encode(kwargs)
            self.channel.send({"do": name, "with": [args, kwargs]})
            reply = self.channel.receive()
            if "result" not in reply:
                raise RuntimeError(reply.get("error"))
            return decode(reply["result"], None, self._tensor)

        return function_there

    @staticmethod
    def _tensor(array):
        import tensorflow as tf

        return tf.constant(array)


def _text(error):
    try:
        return str(error)[:500].encode("utf-8", "replace").decode()
    except BaseException:
        return ""


def main():
    channel = Channel(os.dup(0), os.dup(1))
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    sys.path.append(os.getcwd())
    try:
        Answers(channel).serve()
    except Ended:
        os._exit(0)


if __name__ == "__main__":
    main()
