"""Real signals, sent to the process group of a real command."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from moe_common.files import replacing
from moe_common.stopping import keeping, stops_at_once

folder = Path(sys.argv[1])


def child(code, **options):
    return subprocess.Popen([sys.executable, "-c", code], **options)


with stops_at_once():
    with keeping(lambda: f"Kept: {sorted(path.name for path in folder.glob('kept*'))}"):
        (folder / "kept.txt").write_text("whole")
        {body}
"""
WAITING = "(folder / 'ready').touch(); time.sleep(60)"
BODIES = {
    "in Python": WAITING,
    "in a call that hears no signal": """
        import hashlib
        (folder / 'ready').touch()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)""",
    "where errors are caught": """
        (folder / 'ready').touch()
        try:
            time.sleep(60)
        except Exception:
            pass
        time.sleep(60)""",
    "in a finally block": """
        (folder / 'ready').touch()
        try:
            time.sleep(60)
        finally:
            time.sleep(60)""",
    "with a half-written file": f"""
        with replacing(folder / 'kept-not.txt') as temporary:
            temporary.write_text('ha')
            {WAITING}""",
    "with a thread at work": f"""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as pool:
            pool.submit(time.sleep, 60)
            {WAITING}""",
    "with a child in another session": f"""
        child("import time; time.sleep(60)", start_new_session=True)
        {WAITING}""",
    "with a child that will not end": f"""
        child("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
              stderr=subprocess.DEVNULL)
        {WAITING}""",
    "with an asyncio loop at work": """
        import asyncio

        async def wait():
            task = asyncio.ensure_future(asyncio.sleep(60))
            (folder / 'ready').touch()
            while not task.done():
                await asyncio.sleep(0.01)

        asyncio.new_event_loop().run_until_complete(wait())""",
}


def hear_hangups():
    """Whoever runs the tests may ignore them, under nohup say."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(body, folder, before=()):
    code = SCRIPT.replace("{body}", textwrap.indent(textwrap.dedent(body).strip(), " " * 8).strip())
    command = subprocess.Popen(
        [*before, sys.executable, "-c", code, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_hangups,
    )
    until = time.monotonic() + 30
    while not (folder / "ready").exists():
        assert command.poll() is None, command.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    return command


def stopped(command, *numbers):
    """Status, what was said, and who is left, after signals to the whole group."""
    family = psutil.Process(command.pid).children(recursive=True)
    for number in numbers:
        os.killpg(command.pid, number)
        time.sleep(0.1)
    _, said = command.communicate(timeout=20)
    said = said[said.find("\nStopped") :]  # after TensorFlow's own words
    return command.returncode, said, [process for process in family if process.is_running()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_signal_ends_all_of_it(tmp_path, body, number):
    status, said, left = stopped(start(body, tmp_path), number)
    name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    assert said.split("\n") == ["", f"Stopped by {name}.", "Kept: ['kept.txt']", ""]
    assert status == 128 + number
    assert left == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.txt", "ready"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_closed_terminal_and_ctrl_backslash_do_too(tmp_path, number):
    assert stopped(start(WAITING, tmp_path), number)[0] == 128 + number


def test_the_first_of_several_signals_counts(tmp_path):
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGINT
    status, said, left = stopped(start(BODIES["in a finally block"], tmp_path), *numbers)
    assert (status, left) == (130, [])
    assert said.count("Stopped by") == 1


def test_a_child_of_a_child_that_has_ended(tmp_path):
    orphan = f"""
        child("import os, time\\nif not os.fork(): time.sleep(60)").wait()
        import psutil
        (folder / 'orphan').write_text(str([p.pid for p in psutil.Process().children()]))
        {WAITING}"""
    if sys.platform != "linux":
        pytest.skip("only Linux hands orphans on")
    command = start(orphan, tmp_path)
    (pid,) = eval((tmp_path / "orphan").read_text())
    status, _, _ = stopped(command, signal.SIGTERM)
    assert status == 143
    assert not psutil.pid_exists(pid)


def test_ctrl_c_ends_a_job_that_a_script_started_in_the_background(tmp_path):
    ignoring = ["env", "--ignore-signal=INT"]  # as a shell does for such jobs
    if subprocess.run([*ignoring, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no env that knows --ignore-signal")
    assert stopped(start(WAITING, tmp_path, ignoring), signal.SIGINT)[0] == 130


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    command = start("(folder / 'ready').touch(); time.sleep(1)", tmp_path, before=["nohup"])
    assert stopped(command, signal.SIGHUP)[0] == 0


def test_without_a_signal_nothing_is_said_and_errors_pass(tmp_path):
    command = start("(folder / 'ready').touch(); sys.exit(3)", tmp_path)
    assert "Stopped" not in command.communicate(timeout=20)[1]
    assert command.returncode == 3
