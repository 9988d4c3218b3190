"""Make the virtual environment that the Makefile uses: ``python tools/make_venv.py .venv``.

Needs nothing but a Python, and says in plain words what is missing; without a folder it only
checks whether this Python will do. It is written for any Python 3, so that one that is too old
gets as far as hearing so. Run again after an interruption, it goes on where it stopped.
"""

import os
import subprocess
import sys

OLDEST, BEYOND = (3, 11), (3, 14)  # as requires-python of pyproject.toml says; a test compares
# Written last, so that it says: complete, and made for the checkout in this folder.
STAMP = ".installed"


def main(folder=None):
    require_python()
    require_venv_module()
    if folder is not None:
        install(folder)


def install(folder):
    stamp = os.path.join(folder, STAMP)
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    if moved(stamp) or not works(python):
        say("Making the virtual environment %s with Python %d.%d" % ((folder,) + version()))
        run([sys.executable, "-m", "venv", "--clear", folder], "The virtual environment failed.")
    say("Installing TensorFlow, Keras, Jupyter and this package: a few minutes the first time")
    run(
        [python, "-m", "pip", "install", "--disable-pip-version-check"]
        + ["--constraint", "constraints.txt", "--editable", ".[labs,site,spark,test]"],
        "The installation did not finish. If the lines above speak of a connection or a timeout, "
        "check the\nnetwork (pip downloads from PyPI, or from the index that pip is configured "
        "for), then run the same\ncommand again: what is already downloaded is kept.",
    )
    with open(stamp, "w") as file:
        file.write(os.getcwd())


def version():
    return sys.version_info[:2]


def require_python():
    if not OLDEST <= version() < BEYOND:
        stop(
            "Expected Python %d.%d or newer, below %d.%d. Received: Python %d.%d (%s).\n"
            "Install one (https://www.python.org/downloads/) and name it, for example:\n"
            "    make PYTHON=python3.12 labs" % (OLDEST + BEYOND + version() + (sys.executable,))
        )


def require_venv_module():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "This Python cannot make virtual environments (its venv or ensurepip is missing).\n"
            "On Debian and Ubuntu: sudo apt install python%d.%d-venv" % version()
        )


def moved(stamp):
    """Whether the environment was made elsewhere: its scripts would run the old place's Python."""
    try:
        with open(stamp) as file:
            return file.read() != os.getcwd()
    except OSError:
        return False


def works(python):
    """Whether the environment has this Python and a pip, which an interrupted one may lack."""
    check = "import pip, sys; sys.exit(sys.version_info[:2] != %r)" % (tuple(version()),)
    try:
        return subprocess.call([python, "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def run(command, failure):
    if subprocess.call(command) != 0:
        stop(failure)


def say(text):
    print("\n" + text + " ...")
    sys.stdout.flush()


def stop(text):
    sys.exit("\n" + text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
