"""What a student's kernel is started with: its folder, its environment, and its limits."""

import functools
import json
import os
import site
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from moe_keras.course.limits import MEGABYTE, Limits

CONFINE = Path(__file__).with_name("confine.py")
# All that a kernel gets to know of the lecturer's environment: no key, token or password is here.
PASSED_ON = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "SYSTEMROOT"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("KERAS_BACKEND", "MOE_KERAS_DATA", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS"),
)


@dataclass(frozen=True)
class Sandbox:
    """Where one submission's code runs.

    Attributes:
        box: the one folder that it may write in; short, as it holds the kernel's sockets.
        hidden: folders that it shall not see, such as the lecturer's course and home.
        isolate: whether namespaces are to be used; see `isolation_problem`.
        limits: `Limits`.
    """

    box: Path
    hidden: tuple
    isolate: bool
    limits: Limits

    def make_folders(self):
        for folder in (self.work, self.sockets, self.box / "home", self.box / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def work(self):
        """The kernel's current folder."""
        return self.box / "work"

    @property
    def sockets(self):
        return self.box / "k"

    def command(self, command):
        """The command that runs another one confined."""
        order = {
            "isolate": self.isolate,
            "box": str(self.box),
            "hide": [str(path) for path in self.hidden],
            "keep": [str(path) for path in _kept()],
            # Two cores: processor time runs twice as fast as the clock.
            "seconds": self.limits.seconds * (os.cpu_count() or 1),
            "memory": self.limits.memory_mb * MEGABYTE,
            "file": self.limits.file_mb * MEGABYTE,
        }
        return [sys.executable, str(CONFINE), json.dumps(order), *command]

    def environment(self):
        """The kernel's environment variables."""
        home = str(self.box / "home")
        return clean_environment() | {
            "HOME": home,
            "USERPROFILE": home,
            "TMPDIR": str(self.box / "tmp"),
            "IPYTHONDIR": str(self.box / "home" / ".ipython"),
            "MPLCONFIGDIR": str(self.box / "home" / ".matplotlib"),
            "JUPYTER_RUNTIME_DIR": str(self.sockets),
            "KERAS_HOME": str(_keras_home()),
            "MOE_KERAS_LAB": "quick",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }


def clean_environment():
    """Of this process's environment variables, those on the list, and this Python's programs."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {"PATH": path_with_programs()}


def path_with_programs():
    """PATH with this Python's programs in front: nbgrader calls alembic, activated or not."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return os.pathsep.join(filter(None, folders))


@functools.cache
def isolation_problem():
    """Why submissions cannot be isolated on this computer, in one line; None if they can."""
    if sys.platform != "linux":
        return f"namespaces are Linux's, and this is {sys.platform}"
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        sandbox = Sandbox(Path(folder).resolve(), folders_to_hide(), True, Limits())
        sandbox.make_folders()
        probe = subprocess.run(
            sandbox.command([sys.executable, "-c", "import nbgrader"]),
            cwd=sandbox.work,
            env=sandbox.environment(),
            capture_output=True,
            text=True,
        )
    return None if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["?"])[-1]


def folders_to_hide(*more):
    """The home folder, the folder of temporary files (others' submissions too), and more."""
    folders = {Path(path).resolve() for path in (Path.home(), tempfile.gettempdir(), *more)}
    return tuple(sorted(folders - {Path("/")}))


def _kept():
    """The folders of this Python and of the datasets, wherever they lie."""
    paths = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.getsitepackages()}
    paths |= {Path(sys.executable).resolve().parents[1], *sys.path}
    paths |= {_keras_home() / "datasets", os.environ.get("MOE_KERAS_DATA") or sys.prefix}
    here = Path.cwd().resolve()
    folders = {Path(path).resolve() for path in paths if str(path)}
    return sorted(path for path in folders if path.is_dir() and path not in (here, *here.parents))


def _keras_home():
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
