"""What many tests use, and which files of this folder are not tests."""

import headless
import hypothesis
import numpy as np
import pytest

# What the tests share. To look for doctests, pytest would import each a second time, by another
# name, and register its layers anew.
collect_ignore = [
    "color_vision.py",
    "draws.py",
    "exit_status.py",
    "gradients.py",
    "headless.py",
    "moe_keras/distribution/two_devices.py",
    "layer_contract.py",
    "mutations.py",
    "nested_folders.py",
    "peers/swiglu_experts.py",
    "public_layers.py",
    "recipes.py",
    "moe_keras/spark/fit_once.py",
    "spark_blobs.py",
    "sparse_gate.py",
    "toy_course.py",
]

# The same examples each time; the nightly job's `--hypothesis-profile=default` draws others.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


def pytest_make_parametrize_id(val, argname):
    """Name bytes by their argument: a zip file's bytes hold the time, and tests that differ in
    name from one process to the next cannot be shared out among them."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return np.random.default_rng(0)


# Of a module, not of the session: while Playwright drives a browser, its event loop runs in this
# process, and no other can.
@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; tests are skipped where none starts."""
    with headless.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def spark():
    """One embedded Spark for all tests of a process; it takes seconds to start."""
    spark = pytest.importorskip("moe_keras.spark")
    from moe_keras.spark.java import java_home

    try:
        java_home()
    except RuntimeError as error:
        pytest.skip(f"no Java: {error}")
    session = spark.session("local[2]", memory="1g")
    yield session
    session.stop()


@pytest.fixture
def write_lab(tmp_path):
    """Function that writes a lab's source and returns the `Lab`."""
    from moe_labs.notebooks.catalogue import find_labs  # pulls in jupytext, which few tests need

    def write(text, name="01_sums"):
        path = tmp_path / "notebooks" / "source" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return next(lab for lab in find_labs(tmp_path / "notebooks") if lab.slug == name)

    return write


@pytest.fixture
def lab(write_lab, source):
    return write_lab(source)
