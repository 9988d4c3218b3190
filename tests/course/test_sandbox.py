"""What runs in a sandbox has limits, and on Linux sees its own folder alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moe_keras.course.limits import Limits
from moe_keras.course.sandbox import Sandbox, folders_to_hide, isolation_problem

ISOLATED = pytest.mark.skipif(isolation_problem() is not None, reason=f"{isolation_problem()}")


def run(box, code, isolate=False, hidden=(), **limits):
    """What Python code in a sandbox printed."""
    sandbox = Sandbox(box, hidden, isolate, Limits(**limits))
    sandbox.make_folders()
    done = subprocess.run(
        sandbox.command([sys.executable, "-c", code]),
        cwd=sandbox.work,
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def box(tmp_path):
    return tmp_path.resolve() / "box"


@pytest.mark.skipif(sys.platform != "linux", reason="this limit is Linux's")
def test_too_much_memory_is_a_memory_error(box):
    assert run(box, "bytearray(10 * 2**30)", memory_mb=1000) == "MemoryError"


def test_a_large_file_cannot_be_written(box):
    assert "File too large" in run(box, "open('f', 'wb').write(bytes(3 * 2**20))", file_mb=1)


def test_the_environment_has_no_secret(box, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    said = run(box, "import os; print(dict(os.environ))")
    assert "secret" not in said.lower()
    assert str(box / "home") in said
    assert "'MOE_KERAS_LAB': 'quick'" in said


@ISOLATED
def test_other_folders_are_hidden_or_read_only(box, tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (private / "marks.txt").write_text("1")
    assert run(box, f"import os; print(os.listdir({str(private)!r}))", True, (private,)) == "[]"
    assert "Read-only" in run(box, f"open({str(tmp_path / 'new')!r}, 'w')", True)
    assert run(box, "open('new', 'w'); print('written')", True) == "written"


@ISOLATED
def test_there_are_no_other_processes_and_no_network(box):
    assert run(box, "import os; print(os.getpid(), os.getppid())", True) == "1 0"
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "unreachable" in run(box, code, True)


@ISOLATED
def test_it_cannot_undo_its_confinement(box):
    undo = "import ctypes; print(ctypes.CDLL(None).umount2(b'/proc', 2))"
    assert run(box, undo, True) == "-1"


def test_home_and_temporary_files_are_hidden(tmp_path):
    hidden = folders_to_hide(tmp_path)
    assert {Path.home().resolve(), tmp_path.resolve()} <= set(hidden)
    assert Path(os.sep) not in hidden
