"""`import moe_keras` needs Keras, NumPy and a backend, and brings nothing else along."""

import subprocess
import sys

import pytest

from moe_common.install import install_line

WITHOUT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
NOT_NEEDED = (
    *("moe_labs", "IPython", "jupyter_core", "matplotlib", "nbformat", "nbgrader", "pandas"),
    *("pyspark", "sklearn", "typer"),
)
BACKENDS = ("tensorflow", "jax", "torch")
WHAT_IS_NEW = """
import keras
before = {name.partition(".")[0] for name in sys.modules}
import moe_keras
new = {name.partition(".")[0] for name in sys.modules} - before
print(*sorted(new - sys.stdlib_module_names))
"""


def run(code, hidden, **options):
    script = WITHOUT.format(names=hidden) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, **options)


def test_only_the_package_itself_is_imported():
    result = run(WHAT_IS_NEW, NOT_NEEDED)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["moe_common", "moe_keras"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_backend_an_import_says_which_extra_to_install(backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    result = run("import moe_keras", BACKENDS)
    assert result.returncode == 1
    told = result.stderr.partition("ModuleNotFoundError: ")[2]
    assert told.startswith(f"Expected {backend}, the backend that Keras is set to. Received: ")
    assert f"`{install_line(backend)}`" in told


def test_another_missing_module_is_named_as_it_is():
    result = run("import moe_keras", ("absl",))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'absl'"
