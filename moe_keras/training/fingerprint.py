"""Fingerprint of a layer: equal for layers that answer alike, in every process."""

import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
import types

import keras
import numpy as np

# They move or watch weights; what a built layer answers does not depend on them.
IDLE = (keras.optimizers.Optimizer, keras.metrics.Metric, keras.random.SeedGenerator)
# What Python writes into a class by itself, and what is for people.
ABOUT_CLASS = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "__qualname__"),
}
INSTALLED = tuple(
    {sysconfig.get_path(kind) + os.sep for kind in ("stdlib", "purelib", "platlib")}
    | {folder + os.sep for folder in site.getsitepackages()}
)


class NoFingerprint(ValueError):
    """Something that decides a layer's answer cannot be written down."""


def fingerprint(layer):
    """Fingerprint of a layer: a digest of all in it that decides its answer.

    That is its weights, its attributes whenever they were set, its sublayers and the graph between
    them, and the code of classes and functions that are not installed packages', with what it
    closes over and the globals that it names. Names of layers do not count, as Keras numbers them
    in the order in which they are made.

    Args:
        layer: Built Keras layer or model.

    Returns:
        String of 64 hexadecimal digits.

    Raises:
        NoFingerprint: if something in it cannot be written down, such as an open file.

    Example:

    >>> import keras
    >>> from moe_keras.training.fingerprint import fingerprint
    >>> relu, tanh = (keras.layers.Activation(name) for name in ("relu", "tanh"))
    >>> fingerprint(relu) == fingerprint(tanh)
    False
    >>> fingerprint(relu) == fingerprint(keras.layers.Activation("relu", name="tanh"))
    True
    """
    walk = _Walk()
    try:
        walk.add(layer)
        walk.add(layer.get_weights())  # those that no attribute holds are among them
    except NoFingerprint:
        raise
    except Exception as error:  # whatever an object does when it is asked to be written down
        raise NoFingerprint(f"{type(error).__name__}: {error}") from error
    return walk.digest.hexdigest()


def content_of(array):
    """The bytes of an array without a copy, of dates and 16-bit floats too.

    >>> bytes(content_of(np.array([1, 2], "uint8")))
    b'\\x01\\x02'
    """
    return np.ascontiguousarray(array).reshape(-1).view("uint8").data


class _Walk:
    """A walk through objects that writes each into one digest.

    An object that was met before is written as its number, so that cycles end and sharing counts.
    """

    def __init__(self):
        self.digest = hashlib.sha256()
        self.numbers = {}
        self.met = []  # kept alive: the id of an object that is gone may be given to another

    def write(self, *texts):
        for text in texts:
            content = text if isinstance(text, bytes) else str(text).encode()
            self.digest.update(b"%d:" % len(content) + content)

    def add(self, value):
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str, bytes):
            self.write(kind.__name__, repr(value))
        elif isinstance(value, list | tuple):
            self.write("sequence", kind.__name__, len(value))
            for item in value:
                self.add(item)
        elif isinstance(value, dict):
            self.write("dict", len(value))
            for item in value.items():
                self.add(item)
        elif isinstance(value, set | frozenset):
            self.write("set", *sorted(map(repr, map(_plain, value))))
        elif isinstance(value, keras.Variable) or _is_array(value):
            self.add_array(value)
        elif isinstance(value, IDLE):
            self.write("idle")
        elif id(value) in self.numbers:
            self.write("met", self.numbers[id(value)])
        else:
            self.numbers[id(value)] = len(self.numbers)
            self.met.append(value)
            self.add_object(value)

    def add_array(self, value):
        if isinstance(value, np.ndarray) and type(value) is not np.ndarray:  # masked, for example
            self.add([type(value), value.__reduce__()[1:]])
            return
        array = value if isinstance(value, np.ndarray) else keras.ops.convert_to_numpy(value)
        self.write("array", array.dtype, array.shape)
        if array.dtype.hasobject:
            self.add(array.tolist())
        else:
            self.digest.update(content_of(array))

    def add_object(self, value):
        if isinstance(value, types.ModuleType):
            self.write("module", value.__name__, _version(value.__name__))
        elif isinstance(value, type):
            self.add_class(value)
        elif isinstance(value, types.FunctionType):
            self.add_function(value)
        elif isinstance(value, types.MethodType):
            self.add([value.__func__, value.__self__])
        elif isinstance(value, staticmethod | classmethod):
            self.add([type(value).__name__, value.__func__])
        elif isinstance(value, property):
            self.add([value.fget, value.fset])
        elif isinstance(value, functools.cached_property):
            self.add(value.func)
        elif isinstance(value, keras.initializers.Initializer):
            # Not as it is: it may hold a seed that was drawn.
            self.add([type(value), value.get_config(), _own(value)])
        elif isinstance(value, keras.losses.Loss):  # whose configuration may lack its arguments
            self.add([type(value), vars(value)])
        elif isinstance(value, keras.KerasTensor):
            raise NoFingerprint(f"a symbolic tensor outside a model's graph, {value}")
        elif isinstance(value, keras.Operation):
            self.add_operation(value)
        elif _is_named(value):
            self.write("named", *_address(value))
        elif hasattr(value, "__wrapped__"):
            self.add([type(value), value.__wrapped__, _own(value)])
        else:
            self.write("object")
            reduced = value.__reduce_ex__(4)
            parts = reduced if isinstance(reduced, tuple) else [reduced]
            self.add([list(p) if hasattr(p, "__next__") else p for p in parts])

    def add_class(self, kind):
        self.write("class", *_address(kind))
        if _is_installed(kind):
            for one in kind.__mro__:  # what was put into an installed class
                for name, value in vars(one).items():
                    if isinstance(value, types.FunctionType) and not _is_installed(value):
                        self.add([name, value])
            return
        self.add(list(kind.__bases__))
        for name, value in vars(kind).items():
            if name not in ABOUT_CLASS and not isinstance(value, types.MemberDescriptorType):
                self.add([name, value])

    def add_function(self, function):
        if _is_named(function):
            self.write("named", *_address(function))
            return
        self.write("function")
        self.add_code(function.__code__, function.__globals__)
        self.add([function.__defaults__, function.__kwdefaults__, vars(function)])
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:
                self.write("empty")

    def add_code(self, code, known):
        # Arguments by name, for whoever calls by name.
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        self.write("code", code.co_code, code.co_names, arguments, counts)
        self.write(getattr(code, "co_exceptiontable", b""))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.add_code(constant, known)
            else:
                self.add(constant)
        for name in dict.fromkeys(_globals_named(code)):
            if name in known:
                self.add([name, known[name]])
                self.add_members(known[name], _words(code))
        for module in _imported_by(code, known):
            self.add_members(module, _words(code))

    def add_members(self, module, names, outer=()):
        """What code may take from a module that is no installed one, and from those inside it."""
        is_own = isinstance(module, types.ModuleType) and not _is_installed_module(module.__name__)
        if not is_own or module in outer:
            return
        for name in names:
            if name in vars(module):
                self.add([name, vars(module)[name]])
                self.add_members(vars(module)[name], names, (*outer, module))

    def add_operation(self, operation):
        self.write("operation")
        self.add(type(operation))
        # On PyTorch a layer within a layer is no attribute but a module.
        attributes = {**vars(operation), **vars(operation).get("_modules", {})}
        for name, value in sorted(attributes.items()):
            if name not in _bookkeeping(isinstance(operation, keras.Model)):
                self.add([name, value])
        if isinstance(operation, keras.Sequential):
            self.add(operation.layers)
        elif isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth"):
            self.add_graph(operation)

    def add_graph(self, model):
        """The operations from the inputs to the outputs; a tensor is written as its number."""
        tensors = {}

        def plain(value):
            if isinstance(value, keras.KerasTensor):
                return ["tensor", tensors[id(value)]]
            return value

        for tensor in model.inputs:
            tensors[id(tensor)] = len(tensors)
            self.add([tensor.shape, tensor.dtype])
        for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if not node.is_input:
                    arguments = [node.arguments.args, node.arguments.kwargs]
                    self.add(node.operation)
                    self.add(keras.tree.map_structure(plain, arguments))
                for tensor in node.outputs:
                    tensors.setdefault(id(tensor), len(tensors))
        self.add(keras.tree.map_structure(plain, model.output))


@functools.cache
def _bookkeeping(of_models):
    """Names of the attributes that Keras keeps for itself in every layer, or in every model."""
    kept = {*vars(keras.layers.Layer()), *vars(keras.Operation()), "_torch_params"}
    kept -= {"_dtype_policy", "autocast"}
    if not of_models:
        return kept
    tensor = keras.Input((1,))
    model = keras.Model(tensor, keras.layers.Identity()(tensor))
    model.compile(loss="mse")
    sequential = keras.Sequential([keras.Input((1,))])
    # These come when a model is fitted, asked or moved to PyTorch.
    kept |= {f"stop_{verb}" for verb in ("training", "evaluating", "predicting")}
    kept |= {"history", "optimizer", "_eval_epoch_iterator"}
    return (kept | {*vars(model), *vars(sequential)}) - {"_dtype_policy", "autocast"}


def _plain(value):
    if isinstance(value, frozenset):
        return ["frozenset", *sorted(repr(_plain(item)) for item in value)]
    if isinstance(value, tuple):
        return ["tuple", *map(_plain, value)]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    raise NoFingerprint(f"a set that holds a {type(value).__name__}")


def _is_array(value):
    return isinstance(value, np.ndarray | np.generic) or (
        not isinstance(value, type | keras.KerasTensor) and keras.ops.is_tensor(value)
    )


def _own(value):
    """The attributes of an object whose class is no installed one: the class says what they do."""
    return {} if _is_installed(type(value)) else vars(value)


def _words(code):
    """What code may name: attributes, and words as `getattr` takes them."""
    return [*code.co_names, *(word for word in code.co_consts if isinstance(word, str))]


def _imported_by(code, known):
    """The modules, no installed ones, that code imports when it runs."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            package = known.get("__package__") or ""
            for name in (instruction.argval, f"{package}.{instruction.argval}".rstrip(".")):
                if sys.modules.get(name) is not None:
                    yield sys.modules[name]
                elif _can_be_imported(name):
                    yield _imported(name)


def _imported(name):
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a module of somebody's own may raise
        raise NoFingerprint(f"a call of {name}, which cannot be imported ({error})") from error


def _can_be_imported(name):
    """Whether a module is there that is no installed package's, which may take long to import."""
    top = name.partition(".")[0]
    if not top or top in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(top)
        own = spec is not None and spec.origin and not spec.origin.startswith(INSTALLED)
        return bool(own) and importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _globals_named(code):
    named = ("LOAD_GLOBAL", "LOAD_NAME")
    return (i.argval for i in dis.get_instructions(code) if i.opname in named)


def _address(value):
    module = getattr(value, "__module__", None) or "builtins"
    return module, getattr(value, "__qualname__", ""), _version(module)


def _is_named(value):
    """Whether a value can be found by its name in a package that is installed."""
    name = getattr(value, "__qualname__", None)
    if not isinstance(name, str) or not _is_installed(value):
        return False
    found = sys.modules.get(getattr(value, "__module__", None) or "builtins")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _is_installed(value):
    return _is_installed_module(getattr(value, "__module__", None) or "builtins")


@functools.cache
def _is_installed_module(name):
    if name == "__main__":  # a notebook's, even where the program that runs it is installed
        return False
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and file.startswith(INSTALLED)


@functools.cache
def _version(module):
    """The version of the package that a module belongs to, or nothing."""
    top = sys.modules.get(module.partition(".")[0])
    try:
        return getattr(top, "__version__", None) or importlib.metadata.version(top.__name__)
    except (importlib.metadata.PackageNotFoundError, AttributeError):
        return ""
