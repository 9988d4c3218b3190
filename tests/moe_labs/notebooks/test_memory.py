import subprocess
import sys

from moe_labs.notebooks.memory import PeakMemory

TAKES_200_MB = "import time; kept = b'x' * 200_000_000; print('ready', flush=True); time.sleep(60)"


def test_memory_of_a_process_that_was_started_counts():
    with PeakMemory() as alone:
        pass
    child = subprocess.Popen([sys.executable, "-c", TAKES_200_MB], stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"ready\n"
        with PeakMemory() as together:
            pass
    finally:
        child.kill()
        child.communicate()
    assert together.gigabytes > alone.gigabytes + 0.15


def test_the_peak_stays_when_the_memory_is_free_again(monkeypatch):
    monkeypatch.setattr("moe_labs.notebooks.memory.INTERVAL_SECONDS", 0.01)
    with PeakMemory() as peak:
        child = subprocess.Popen([sys.executable, "-c", TAKES_200_MB], stdout=subprocess.PIPE)
        child.stdout.readline()
        child.kill()
        child.communicate()
    assert peak.gigabytes > 0.2
