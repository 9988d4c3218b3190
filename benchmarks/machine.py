"""What a benchmark ran on."""

import datetime
import importlib.metadata
import os
import platform

PACKAGES = ("keras", "tensorflow", "keras-hub", "torch", "transformers", "numpy")


def describe():
    """Processor, cores, versions and date, as one dict of texts."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
