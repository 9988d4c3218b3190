"""Spark in processes of its own: what a student sees, a real cluster, and a worker that dies."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyspark
import pytest
from spark_blobs import blobs

from moe_keras.spark import write_parquet
from moe_keras.spark.java import java_home
from moe_keras.spark.session import QUIET

pytestmark = pytest.mark.slow
SPARK = Path(pyspark.__file__).parent
FIT = Path(__file__).with_name("fit_once.py")


def environment():
    paths = os.pathsep.join(path for path in sys.path if path)
    loopback = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(SPARK)}
    return {**os.environ, **loopback, "JAVA_HOME": str(java_home()), "PYTHONPATH": paths}


def fit(master, folder, *victim):
    """What fit_once prints, and what is on the screen besides."""
    command = [sys.executable, FIT, master, folder, *map(str, victim)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


class Cluster:
    """A standalone master and two workers of one core each, on loopback."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.master = f"spark://127.0.0.1:{port}"
        self._start("master.Master", "--port", port)
        self._wait_for(port)
        size = ("--cores", 1, "--memory", "700m")
        self.workers = [
            self._start("worker.Worker", *size, "--work-dir", folder / f"worker-{n}", self.master)
            for n in range(2)
        ]

    def _start(self, kind, *arguments):
        here = ("--host", "127.0.0.1", "--webui-port", 0)
        command = [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}"]
        process = subprocess.Popen(
            [str(each) for each in (*command, *here, *arguments)],
            env={
                **environment(),
                "SPARK_DAEMON_MEMORY": "256m",
                "SPARK_DAEMON_JAVA_OPTS": f"-Dlog4j2.configurationFile={QUIET.as_uri()}",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    def _wait_for(self, port):
        for _ in range(300):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("the master did not start within a minute")

    def stop(self):
        for process in reversed(self.started):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    images, labels, _ = blobs(rows=1000)
    write_parquet(images, labels, folder / "trees.parquet")
    images, labels, _ = blobs(rows=100, seed=1)
    write_parquet(images, labels, folder / "test.parquet")
    return folder


@pytest.fixture(scope="module")
def local(folder):
    return fit("local[2]", folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("workers"))
    yield cluster
    cluster.stop()


def same(first, second):
    assert first["sizes"] == second["sizes"]
    np.testing.assert_allclose(first["centroids"], second["centroids"], rtol=1e-6)
    np.testing.assert_allclose(first["probabilities"], second["probabilities"], atol=1e-6)


def test_nothing_but_results_on_the_screen(local):
    result, screen = local
    assert "WARN" not in screen.replace("WARNING: All log messages before absl", "")
    assert result["progress"] == [["clusters", 1, 1], *(["experts", n, 3] for n in range(1, 4))]


@pytest.mark.nightly
def test_a_cluster_finds_the_same(cluster, folder, local):
    result, screen = fit(cluster.master, folder)
    assert "task of very large size" not in screen  # asked with warnings shown
    assert result["executors"][1] == 3  # the driver and both workers
    same(result, local[0])


@pytest.mark.nightly
def test_a_worker_is_killed_in_the_middle(cluster, folder, local):
    # The last test on this cluster.
    result, _ = fit(cluster.master, folder, cluster.workers[0].pid)
    assert cluster.workers[0].wait() == -9
    assert all(worker.poll() is None for worker in cluster.workers[1:])
    assert result["executors"][1] == 2  # the driver and the worker that is left
    same(result, local[0])


def test_a_listener_that_is_no_master_is_given_up_within_30_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        start = time.monotonic()
        script = (
            "import time\n"
            "from moe_keras.spark import session\n"
            "start = time.monotonic()\n"
            "try:\n"
            f"    session('spark://127.0.0.1:{port}')\n"
            "except ConnectionError as error:\n"
            "    print(round(time.monotonic() - start, 1), error)\n"
            "print(session('local[1]', memory='512m').range(3).count())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert time.monotonic() - start < 200
    first, second = done.stdout.splitlines()
    seconds, message = first.split(" ", 1)
    assert float(seconds) < 30
    assert "Expected a Spark master at" in message
    assert second == "3"  # and Spark can still be started here
