"""The private names of other libraries that we use: one test each says what breaks without it.

Nobody promised to keep them. A new use of one has its test here, or the last test fails.
"""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import pytest
from nbclient import NotebookClient
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

ROOT = Path(__file__).parents[1]
PROGRAMS = ("moe_common", "moe_keras", "moe_labs", "tools", "benchmarks", "docs", "notebooks")
LISTED = set()
DOCUMENTED = {"_exit", "_fields"}  # Python's own, underscore or not


def private(*names, breaks):
    """Lists names; a test of theirs that fails says what breaks."""
    LISTED.update(names)

    def decorate(test):
        @functools.wraps(test)
        def told(*args, **kwargs):
            try:
                test(*args, **kwargs)
            except (AssertionError, AttributeError, ImportError, TypeError) as error:
                error.add_note(f"{', '.join(names)} changed or is gone. What breaks: {breaks}")
                raise

        return told

    return decorate


# Keras


def nested():
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.ReLU()])
    return keras.Sequential([keras.Input((2,)), inner]), inner


@private("_flatten_layers", breaks="routing, multiply_adds and the metrics of a mixture's layers")
def test_layers_inside_are_found_at_any_depth():
    model, inner = nested()
    assert {model, inner, *inner.layers} <= set(model._flatten_layers())
    dense = inner.layers[0]
    assert list(dense._flatten_layers(include_self=False)) == []


@private("keras.src.backend.common", breaks="the message where .h5 cannot tell weights apart")
def test_a_layer_can_tell_that_it_is_written_to_h5(tmp_path):
    from keras.src.backend.common import global_state

    seen = []

    class Witness(keras.layers.Layer):
        def get_config(self):
            seen.append(global_state.get_global_attribute("use_legacy_config", False))
            return super().get_config()

        def call(self, inputs):
            return inputs

    model = keras.Sequential([keras.Input((2,)), Witness()])
    model.get_config()
    model.save(tmp_path / "model.h5")
    assert seen[0] is False
    assert True in seen


@private("keras.src.backend.common", breaks="from_config of a mixture whose experts share a layer")
def test_a_layer_is_read_once_where_a_map_of_identities_is_open():
    from keras.src.backend.common import global_state

    read = keras.saving.deserialize_keras_object
    config = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    config["shared_object_id"] = 7
    assert read(config) is not read(config)
    known = {}
    global_state.set_global_attribute("shared_objects/id_to_obj_map", known)
    try:
        assert read(config) is read(config) is known[7]
    finally:
        global_state.set_global_attribute("shared_objects/id_to_obj_map", None)


@private("_set_mask_metadata", breaks="masks: a mixture's outputs would carry none")
def test_masks_are_put_on_outputs_in_a_method_of_their_own():
    seen = []

    class Watched(keras.layers.Layer):
        def call(self, inputs):
            return inputs + 1

        def compute_mask(self, inputs, previous_mask):
            return previous_mask

        def _set_mask_metadata(self, inputs, outputs, previous_mask):
            seen.append((inputs.shape, outputs.shape, previous_mask))

    Watched()(keras.ops.zeros((2, 3)))
    assert seen == [((2, 3), (2, 3), None)]


@private("keras.src.backend.common.masking", breaks="masks: experts would not find theirs")
def test_a_mask_is_put_on_a_tensor():
    from keras.src.backend.common.masking import set_keras_mask

    class Seen(keras.layers.Layer):
        def call(self, inputs, mask=None):
            return inputs if mask is None else mask

    tensor = keras.ops.zeros((2, 3))
    set_keras_mask(tensor, keras.ops.ones((2,), "bool"))
    assert Seen()(tensor).shape == (2,)


@private("_nodes_by_depth", breaks="training.FrozenOutputs, whose key follows a model's graph")
def test_a_functional_model_lists_its_operations_by_depth():
    inputs = keras.Input((3,))
    dense = keras.layers.Dense(2)
    model = keras.Model(inputs, dense(inputs))
    depths = sorted(model._nodes_by_depth, reverse=True)
    assert model._nodes_by_depth[depths[0]][0].is_input
    assert model._nodes_by_depth[depths[-1]][0].operation is dense


@private("keras.src.utils", breaks="downloads that get their name when they are whole")
def test_downloads_go_through_one_function():
    from keras.src.utils import file_utils

    assert callable(file_utils.urlretrieve)
    assert "urlretrieve" in file_utils.get_file.__code__.co_names


@private(
    *("_keras_history", "_inbound_nodes"),
    breaks="plots.model_graph, which walks up a model; upcycle, which asks for a layer's input; "
    "loading a model in which a layer is called by itself and inside a mixture",
)
def test_a_tensor_knows_where_it_comes_from():
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(3)
    layer(keras.Input((2,)))  # a first use; the second one is looked up
    outputs = layer(inputs)
    operation, index, _ = outputs._keras_history
    assert (operation, index) == (layer, 1)
    node = operation._inbound_nodes[index]
    assert node.input_tensors[0] is inputs and node.output_tensors[0] is outputs
    assert node.arguments.args[0] is inputs and node.arguments.kwargs == {}


@private("_nodes_by_depth", breaks="fingerprint, which walks through a model's graph")
def test_a_model_knows_its_nodes_from_the_inputs_to_the_outputs():
    inputs = keras.Input((2,))
    outputs = keras.layers.ReLU()(keras.layers.Dense(3)(inputs))
    depths = sorted(keras.Model(inputs, outputs)._nodes_by_depth.items(), reverse=True)
    names = [type(node.operation).__name__ for _, nodes in depths for node in nodes]
    assert names == ["InputLayer", "Dense", "ReLU"]
    dense = depths[1][1][0]
    assert dense.arguments.args[0] is inputs and not dense.is_input


@private("keras.src.utils", breaks="whole_downloads: a download that is cut would stay as it is")
def test_keras_downloads_by_a_function_of_its_module(tmp_path, monkeypatch):
    from keras.src.utils import file_utils

    def retrieve(url, target, progress):
        Path(target).write_text(url)

    monkeypatch.setattr(file_utils, "urlretrieve", retrieve)
    path = keras.utils.get_file("a", "https://b", cache_dir=str(tmp_path), cache_subdir=".")
    assert Path(path).read_text() == "https://b"


# TensorFlow and JAX


@private(
    "tensorflow.python.ops.control_flow_util",
    breaks="SparseMoE under XLA: it would take a dispatcher whose sizes follow from the data",
)
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
def test_xla_is_noticed():
    import tensorflow as tf

    from moe_keras.ops.compilers import needs_static_sizes

    seen = {}

    def look(name, x):
        seen[name] = needs_static_sizes(x)
        return x

    for name, options in {"xla": {"jit_compile": True}, "graph": {}}.items():
        tf.function(functools.partial(look, name), **options)(tf.zeros(2))
    look("eager", tf.zeros(2))
    assert seen == {"xla": True, "graph": False, "eager": False}


# Jupyter


CELLS = ["print(1)", "import time\ntime.sleep(5)"]


@pytest.fixture(scope="module")
def probe():
    """A client that ran two cells, the second for longer than it may; the calls that it got."""

    class Probe(NotebookClient):
        def _get_timeout(self, cell):
            calls["_get_timeout"] = True
            return 1 if cell is not None and cell.source == CELLS[1] else 10

        async def _async_poll_kernel_alive(self):
            calls["_async_poll_kernel_alive"] = hasattr(self, "task_poll_for_reply")
            calls["process"] = self.km.provisioner.process.pid
            await super()._async_poll_kernel_alive()

        async def _async_handle_timeout(self, timeout, cell=None):
            calls["_async_handle_timeout"] = (timeout, cell.source)
            return await super()._async_handle_timeout(timeout, cell)

        async def _async_cleanup_kernel(self):
            calls["_async_cleanup_kernel"] = True
            await super()._async_cleanup_kernel()

    calls = {}
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, CELLS)])
    Probe(notebook, kernel_name="python3", interrupt_on_timeout=True, allow_errors=True).execute()
    return calls


@private(
    *("_async_poll_kernel_alive", "task_poll_for_reply", "_async_cleanup_kernel"),
    breaks="LabClient: a lab whose kernel falls silent would be waited for without end",
)
def test_the_client_watches_its_kernel(probe):
    assert probe["_async_poll_kernel_alive"] is True
    assert probe["_async_cleanup_kernel"] is True


@private("provisioner", breaks="LabClient and grading, which end the kernel's own processes")
def test_a_kernel_has_a_process(probe):
    assert isinstance(probe["process"], int)


@private(
    *("_get_timeout", "_async_handle_timeout"),
    breaks="grading: a submission's cells would have no limit of time",
)
def test_the_client_asks_how_long_a_cell_may_run(probe):
    assert issubclass(Execute, NotebookClient)
    assert probe["_get_timeout"] is True
    assert probe["_async_handle_timeout"] == (1, CELLS[1])


@private(
    *("sanitize_preprocessors", "autograde_preprocessors"),
    breaks="grading: nbgrader would run a submission outside the sandbox",
)
def test_nbgrader_takes_its_steps_from_two_lists():
    grading = Autograde()
    names = [step.__name__ for step in grading.sanitize_preprocessors]
    assert {"ClearOutput", "OverwriteCells"} <= set(names)
    assert "Execute" in [step.__name__ for step in grading.autograde_preprocessors]


@private(
    *("output_timeout", "skip_compare"),
    breaks="moe-labs check: outputs would be compared with stderr, or not waited for",
)
@pytest.mark.slow
def test_nbval_keeps_its_settings_on_its_items(tmp_path):
    cell = nbformat.v4.new_code_cell("1")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
    (tmp_path / "look.py").write_text(
        "def pytest_itemcollected(item):\n"
        "    print('found', item.output_timeout, 'stderr' in item.parent.skip_compare)\n"
    )
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "look", "--collect-only", "-s"]
    done = subprocess.run(
        [*command, "one.ipynb"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "found 5 False" in done.stdout, done.stdout + done.stderr


# Spark


SPARK = """
from pyspark import SparkContext
from moe_keras.spark import session
spark = session("local[1]", memory="512m")
print("executors", spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size())
print("java", SparkContext._gateway.proc.poll(), SparkContext._jvm is not None)
print("context", SparkContext._active_spark_context is spark.sparkContext)
spark.stop()
"""


@private(
    *("_jsc", "_gateway", "_jvm", "_active_spark_context"),
    breaks="session: it could not see whether a cluster has workers, end a Java that hangs, or "
    "find the session that another thread started",
)
@pytest.mark.slow
def test_spark_shows_its_java():
    pytest.importorskip("pyspark")
    done = subprocess.run([sys.executable, "-c", SPARK], capture_output=True, text=True)
    shown = ["executors 1", "java None True", "context True"]
    assert done.stdout.splitlines() == shown, done.stderr


# Libraries that benchmarks compare with


@private("_experts_implementation", breaks="make bench: Mixtral of transformers, run in two ways")
def test_transformers_choose_how_experts_run():
    config = pytest.importorskip("transformers").MixtralConfig(num_hidden_layers=1)
    assert hasattr(config, "_experts_implementation")


@private("keras_hub.src.models.mixtral.mixtral_decoder", breaks="make bench: KerasHub's Mixtral")
def test_keras_hub_has_a_mixtral_block():
    pytest.importorskip("keras_hub")
    from keras_hub.src.models.mixtral.mixtral_decoder import MixtralSparseMoeBlock

    assert issubclass(MixtralSparseMoeBlock, keras.layers.Layer)


# Whether the list is whole


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def own_names(tree):
    """Names that a program defines, also as attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and is_set_on_self(node):
            yield node.attr


def is_set_on_self(attribute):
    value = attribute.value
    return (
        isinstance(attribute.ctx, ast.Store) and isinstance(value, ast.Name) and value.id == "self"
    )


def private_uses(sources):
    """Private names of others in programs: attributes, and modules that are imported from.

    An attribute is another's if no program defines it, or if it is asked of `super()`.
    """
    trees = [ast.parse(source) for source in sources]
    own = {name for tree in trees for name in own_names(tree)}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own or ast.unparse(node.value) == "super()":
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module:
            top, *inside = node.module.split(".")
            own_house = top in ("moe_common", "moe_keras", "moe_labs")
            if not own_house and any(is_private(p) or p in ("src", "python") for p in inside):
                yield node.module


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("model._layers", ["_layers"]),
        ("import os\nos._exit(1)", []),
        ("class A:\n def __init__(self): self._x = 1\n def f(self): return self._x", []),
        ("class A(B):\n def _x(self): return super()._x()", ["_x"]),
        ("from keras.src.layers import Layer", ["keras.src.layers"]),
        ("from jax._src import core", ["jax._src"]),
        ("from moe_keras.training._lookahead import Lookahead", []),
    ],
)
def test_what_is_found(source, found):
    assert list(private_uses([source])) == found


def test_every_private_name_in_use_is_listed():
    paths = [path for part in PROGRAMS for path in (ROOT / part).rglob("*.py")]
    used = set(private_uses([path.read_text("utf-8") for path in paths]))
    assert used - LISTED == set(), "give each a test here that says what breaks without it"
    # What is listed is used: its name stands in some program.
    text = "\n".join(path.read_text("utf-8") for path in paths)
    assert {name for name in LISTED if name not in text} == set()
