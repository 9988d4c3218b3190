"""Every test, and every docstring's example, starts from the same state and leaves it so."""

import os
import random
import sys

import numpy as np
import pytest

# Several processes share the cores: threads of each for the same core only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    for threads in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")


def start_over():
    """Random numbers begin anew: Python's, NumPy's and, where Keras is loaded, Keras's.

    Many tests do without Keras, whose import takes seconds.
    """
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
    else:
        random.seed(0)
        np.random.seed(0)


def shared_state():
    """What one test could leave to the next, by name; only of what is loaded."""
    state = {
        "current folder": os.getcwd(),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "where modules are found": list(sys.path),
        "NumPy's handling of errors": np.geterr(),
    }
    if "keras" in sys.modules:
        config = sys.modules["keras"].config
        state["floatx"] = config.floatx()
        state["epsilon"] = config.epsilon()
        state["image data format"] = config.image_data_format()
        state["dtype policy"] = config.dtype_policy().name
    if "tensorflow" in sys.modules:
        state["eager functions"] = sys.modules["tensorflow"].config.functions_run_eagerly()
    if "matplotlib.pyplot" in sys.modules:
        pyplot = sys.modules["matplotlib.pyplot"]
        state["open figures"] = pyplot.get_fignums()
        state["style of figures"] = dict(pyplot.rcParams)
    return state


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    # Which test is the first to ask for a shared fixture depends on the order.
    if fixturedef.scope != "function":
        start_over()


@pytest.fixture(autouse=True)
def same_start():
    before, loaded = shared_state(), set(sys.modules)
    start_over()
    yield
    after = shared_state()
    changed = {name for name in before if after[name] != before[name]}
    if "tensorflow" in sys.modules.keys() - loaded:  # which sets variables of its own
        changed.discard("environment")
    assert not changed, f"The test leaves changed what others use: {sorted(changed)}"
