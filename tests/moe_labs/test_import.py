"""What grades needs no Keras: it runs where none can be imported."""

import subprocess
import sys
from pathlib import Path

import moe_labs

GRADING = """
import sys
sys.modules["keras"] = sys.modules["moe_keras"] = sys.modules["tensorflow"] = None
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""
HOUSE = Path(moe_labs.__file__).parent


def test_all_but_the_exercises_themselves_can_be_imported_without_keras():
    names = [
        ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts).removesuffix(".__init__")
        for part in ("course", "notebooks", "commands")
        for path in sorted((HOUSE / part).glob("*.py"))
    ]
    assert "moe_labs.course.worker" in names
    frame = [f"moe_labs.exercises.{name}" for name in ("exercise", "progress", "solutions")]
    script = GRADING.format(names=["moe_labs", *frame, *names])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_itself_loads_nothing():
    script = """
import sys
before = set(sys.modules)
import moe_labs
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["moe_labs"]
