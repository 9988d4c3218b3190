"""Every long command, started as a user would, and stopped by a signal to its process group."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from unittest import mock

import psutil
import pytest
from toy_course import LAB, answered, hand_in, make_course

ROOT = Path(__file__).parents[1]
# What the scripts `moe-keras` and `moe-labs` do, of this checkout.
LIBRARY, COURSE = (
    [sys.executable, "-c", f"from moe_common.entry import {name}; {name}()"]
    for name in ("library", "course")
)
SAID = "said.txt"
SETTINGS = {"MOE_KERAS_SOLUTIONS_PASSWORD": "not secret", "PYTHONUNBUFFERED": "1"}
AT_ONCE = 10  # seconds, on a machine that does other things besides
SLOW_ANSWER = "import time\ntime.sleep(60)\ndef softmax(x):\n    return x"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups"),
]


def a_process(name):
    """Whether the command has started a process of this name."""

    def is_there(command, folder):
        family = psutil.Process(command.pid).children(recursive=True)
        return any(name in command_of(process) for process in family)

    return is_there


def command_of(process):
    with contextlib.suppress(psutil.Error):  # it has just ended
        return " ".join(process.cmdline())
    return ""


def a_line(text):
    """Whether the command has printed this."""
    return lambda command, folder: text in (folder / SAID).read_text(encoding="utf-8")


def a_file(pattern):
    """Whether the command has written such a file."""
    return lambda command, folder: any(folder.rglob(pattern))


def notebooks(folder):
    """One lab of the checkout, to be executed anew."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    return folder / "notebooks"


def labs(*arguments):
    return lambda folder: [*COURSE, *arguments, "--lab=04", f"--notebooks={notebooks(folder)}"]


def course(folder):
    with mock.patch.dict(os.environ):  # nbgrader leaves it changed
        made = make_course(folder / "course")
    for student in ("ada", "bo", "cy"):
        hand_in(made, student, answered(made, softmax=SLOW_ANSWER))
    return [*COURSE, "course", "autograde", str(made), LAB, "--jobs", "2"]


def wheel(folder):
    """Hardly a wheel, but one that a release can hand out."""
    path = folder / "moe_keras-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("moe_keras/__init__.py", "")
        archive.writestr("moe_keras-1.dist-info/RECORD", "")
    return ["--wheel", str(path)]


# What is run in a folder, and how it shows that it is at work.
COMMANDS = {
    "train": (
        lambda folder: [
            *(*LIBRARY, "train", "guided", "--subset=0.05", "--epochs=50"),
            f"--output={folder / 'run'}",
        ],
        a_file("run/state.npz"),
    ),
    "pretrain": (
        lambda folder: [*LIBRARY, "pretrain", "base", "--dataset=mnist", f"--output={folder}"],
        a_line("Epoch 1/"),
    ),
    "labs run": (labs("run", "--quick", "--output=out"), a_process("ipykernel_launcher")),
    "labs check": (labs("check"), a_process("ipykernel_launcher")),
    "labs generate": (labs("generate", "--force"), a_process("ipykernel_launcher")),
    "course autograde": (course, a_process("ipykernel_launcher")),
    "course release": (
        lambda folder: [*COURSE, "course", "release", str(folder / "zips"), *wheel(folder)],
        a_file("zips/.*.part"),
    ),
    "spark fit": (
        lambda folder: [*LIBRARY, "spark", "fit", f"--output={folder / 'spark'}"],
        a_process("java"),
    ),
    "site": (
        lambda folder: [sys.executable, str(ROOT / "tools" / "make_site.py"), str(folder / "site")],
        a_file("site-source/index.md"),
    ),
}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, signal.SIGINT) for name in COMMANDS),
        *((name, signal.SIGTERM) for name in ("labs run", "course autograde")),
    ],
)
def test_a_signal_ends_a_command_at_once(tmp_path, name, number):
    if name == "spark fit":
        pytest.importorskip("pyspark")
    line, is_at_work = COMMANDS[name]
    line = line(tmp_path)
    said = tmp_path / SAID
    with said.open("w") as output:
        command = subprocess.Popen(
            line,
            cwd=tmp_path,
            env=os.environ | SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    until = time.monotonic() + 240
    while not is_at_work(command, tmp_path):
        assert command.poll() is None, said.read_text(encoding="utf-8")
        assert time.monotonic() < until, f"{name} did not start"
        time.sleep(0.02)
    time.sleep(0 if name == "course release" else 1)
    family = psutil.Process(command.pid).children(recursive=True)
    sent = time.monotonic()
    os.killpg(command.pid, number)
    command.wait(60)
    assert time.monotonic() - sent < AT_ONCE
    said = said.read_text(encoding="utf-8")
    assert command.returncode == 128 + number, said
    line = {signal.SIGINT: "Stopped by Ctrl-C.", signal.SIGTERM: "Stopped by SIGTERM."}[number]
    _, _, kept = said.partition(f"\n{line}\n")
    assert kept.count("\n") == 1, said  # one sentence on what was kept, and nothing after it
    assert [process for process in family if process.is_running()] == []
    assert list(tmp_path.rglob("*.part*")) == []
