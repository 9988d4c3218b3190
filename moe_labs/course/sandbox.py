"""What a student's kernel is started with: its folder, its environment, and its limits."""

import contextlib
import functools
import importlib.util
import json
import os
import secrets
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from moe_common.keras_home import keras_home
from moe_labs.course.confine import FOLDER
from moe_labs.course.limits import MEGABYTE, Limits
from moe_labs.exercises.exercise import COURSE_WORD

# All that a kernel gets to know of the lecturer's environment: no key, token or password is here.
PASSED_ON = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "SYSTEMROOT"),
    "JAVA_HOME",
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("KERAS_BACKEND", "MOE_KERAS_DATA", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", COURSE_WORD),
)

PACKAGES = ("moe_keras", "moe_labs", "moe_common")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# In /etc: what programs need to start, and nothing about this computer's users and services;
# `confine.py` makes up two users.
SETTINGS = ("ld.so.*", "alternatives", "localtime", "timezone", "fonts", "java*", "mime.types")
SETTINGS += ("nsswitch.conf", "hosts", "R", "magic*")
LONGEST_TEMPORARY = 60


@dataclass(frozen=True)
class Sandbox:
    """Where one submission's code runs.

    Attributes:
        box: the one folder that it may write in; short, as it holds the kernel's sockets.
        isolate: whether namespaces are to be used; see `isolation_problem`.
        limits: `Limits`.
        references: whether it shall see the course's exercises, with their references and cases.
    """

    box: Path
    isolate: bool
    limits: Limits
    references: bool = True

    def make_folders(self):
        cache = self.keras_home / "datasets"
        for folder in (self.work, self.sockets, cache, self.box / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        # Keras reads nothing from a cache that it may not write to, nor unpacks into one.
        with contextlib.suppress(OSError):  # a cache of somebody else's
            for file in filter(Path.is_file, (keras_home() / "datasets").glob("*")):
                (cache / file.name).symlink_to(file.resolve())

    @property
    def work(self):
        """The kernel's current folder."""
        return self.box / "work"

    @property
    def sockets(self):
        return self.box / "k"

    @property
    def keras_home(self):
        """Keras's folder, in which it finds what has been downloaded on this computer."""
        return self.box / "home" / ".keras"

    def command(self, command):
        """The command that runs another one confined."""
        order = {
            "isolate": self.isolate,
            "box": str(self.box),
            "keep": [str(path) for path in _kept()],
            "mask": [str(path) for path in _masked(self.references)],
            # Two cores: processor time runs twice as fast as the clock.
            "seconds": self.limits.seconds * (os.cpu_count() or 1),
            "memory": self.limits.memory_mb * MEGABYTE,
            "total": self.limits.memory_mb * MEGABYTE * 3 // 2,
            "file": self.limits.file_mb * MEGABYTE,
            "disk": self.limits.disk_mb * MEGABYTE,
            "processes": self.limits.processes,
            "files": self.limits.files,
        }
        return [*python_module("moe_labs.course.confine"), json.dumps(order), *command]

    def environment(self):
        """The kernel's environment variables."""
        home = str(self.box / "home")
        known = clean_environment()
        if not self.references:
            known.pop(COURSE_WORD, None)
        return known | {
            "HOME": home,
            "PYTHONSAFEPATH": "1",
            "USERPROFILE": home,
            "TMPDIR": str(self.box / "tmp"),
            "IPYTHONDIR": str(self.box / "home" / ".ipython"),
            "MPLCONFIGDIR": str(self.box / "home" / ".matplotlib"),
            "JUPYTER_RUNTIME_DIR": str(self.sockets),
            "KERAS_HOME": str(self.keras_home),
            "MOE_KERAS_LAB": "quick",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }


def clean_environment():
    """Of this process's environment variables, those on the list, and this Python's programs."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {"PATH": path_with_programs()}


def python_module(name):
    """The command that runs a module in this Python, whatever lies in the current folder."""
    return [sys.executable, "-P", "-m", name]


def path_with_programs():
    """PATH with this Python's programs in front: nbgrader calls alembic, activated or not."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH") or os.defpath]
    return os.pathsep.join(folders)


@contextlib.contextmanager
def programs_on_path():
    """Let nbgrader find alembic; PATH is as it was afterwards (nbgrader's `setenv` deletes it)."""
    before = os.environ.get("PATH")
    os.environ["PATH"] = path_with_programs()
    try:
        yield
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before


@functools.cache
def isolation_problem():
    """Why submissions cannot be isolated on this computer, in one line; None if they can."""
    if sys.platform != "linux":
        return f"namespaces are Linux's, and this is {sys.platform}"
    with tempfile.TemporaryDirectory(prefix="probe-", dir=short_temporary_folder()) as folder:
        sandbox = Sandbox(Path(folder).resolve(), True, Limits())
        sandbox.make_folders()
        probe = subprocess.run(
            sandbox.command([sys.executable, "-c", "import nbgrader"]),
            cwd=sandbox.work,
            env=sandbox.environment(),
            capture_output=True,
            text=True,
        )
    return None if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["?"])[-1]


def short_temporary_folder():
    """A folder for temporary files whose name leaves room for those of sockets (107 bytes).

    Raises:
        OSError: if there is none.
    """
    for folder in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")):
        if len(os.fsencode(folder.resolve())) <= LONGEST_TEMPORARY and os.access(folder, os.W_OK):
            return str(folder.resolve())
    raise OSError(
        f"Expected a folder for temporary files with a name of at most {LONGEST_TEMPORARY} "
        f"characters. Received: {tempfile.gettempdir()} (set TMPDIR to a shorter one)"
    )


def remove(folder):
    """Remove a folder that students' code wrote to, whatever it left there; nothing is raised.

    `shutil.rmtree` alone goes down by recursion, and fails at a thousand folders in each other.
    """
    # The class goes on, and what cannot be removed stays.
    with contextlib.suppress(Exception):
        if {os.open, os.chmod, os.unlink, os.rename, os.rmdir} <= os.supports_dir_fd:
            _flatten(folder)
    with contextlib.suppress(Exception):
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder):
    """Remove the files below a folder, and its folders after bringing each up: no path is long."""
    top, word, moved = _opened(folder), secrets.token_hex(8), 0
    try:
        waiting = _without_files(top)
        while waiting:
            name = waiting.pop()
            with contextlib.suppress(OSError):
                below = _opened(name, top)
                try:
                    for inner in _without_files(below):
                        moved += 1
                        with contextlib.suppress(OSError):
                            os.close(_opened(inner, below))
                            os.rename(inner, f"{word}-{moved}", src_dir_fd=below, dst_dir_fd=top)
                            waiting.append(f"{word}-{moved}")
                finally:
                    os.close(below)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _opened(folder, above=None):
    """A descriptor of a folder, which its owner may read and change from now on."""
    try:
        descriptor = os.open(folder, FOLDER, dir_fd=above)
    except PermissionError:
        os.chmod(folder, 0o700, dir_fd=above)
        descriptor = os.open(folder, FOLDER, dir_fd=above)
    os.fchmod(descriptor, 0o700)
    return descriptor


def _without_files(descriptor):
    """Remove the files in a folder: the names of what is left there, its folders."""
    left = []
    for name in os.listdir(descriptor):
        try:
            os.unlink(name, dir_fd=descriptor)
        except OSError:
            left.append(name)
    return left


def _kept():
    """All that students' code may read: the system's programs, this Python, and the datasets."""
    paths = [Path(path) for path in SYSTEM]
    paths += [path for pattern in SETTINGS for path in Path("/etc").glob(pattern)]
    paths += map(Path, {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()})
    paths += [Path(sys.executable).resolve().parents[1], *map(Path, site.getsitepackages())]
    paths += [path for path in map(Path, sys.path) if not _is_checkout(path)]
    paths += [keras_home() / "datasets", *_packages()]
    for name in ("MOE_KERAS_DATA", "JAVA_HOME"):
        if os.environ.get(name):
            paths.append(Path(os.environ[name]))
    private = {path.resolve() for path in (Path.cwd(), Path.home(), Path(tempfile.gettempdir()))}
    private |= {parent for path in private for parent in path.parents} | {Path("/tmp")}
    paths = {path.resolve() for path in paths if str(path) and path.exists()} - private
    return sorted(path for path in paths if paths.isdisjoint(path.parents))


def _packages():
    """The folders of our own packages, which need not be where others are."""
    found = (importlib.util.find_spec(name) for name in PACKAGES)
    return [Path(spec.origin).parent for spec in found if spec and spec.origin]


def _is_checkout(folder):
    """Whether a folder holds the repository, where the labs' sources lie beside the packages."""
    return (folder / "moe_labs").is_dir() and (folder / "pyproject.toml").is_file()


def _masked(references):
    """What nobody's answer needs: the labs' sources, with solutions; or all of the course."""
    labs = Path(__file__).resolve().parents[1]
    return [labs / "notebooks" / "source"] if references else [labs]
