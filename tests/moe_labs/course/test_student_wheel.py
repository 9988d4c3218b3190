import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from moe_labs.course.student_wheel import student_wheel

ROOT = Path(__file__).parents[3]


def test_a_file_that_is_no_wheel_is_refused(tmp_path):
    path = tmp_path / "moe_keras-1-py3-none-any.whl"
    path.write_text("no zip file")
    with pytest.raises(ValueError, match="wheel"):
        student_wheel(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other-1.dist-info/RECORD", "")
    with pytest.raises(ValueError, match="wheel of moe_keras"):
        student_wheel(path)


@pytest.mark.slow
def test_pip_installs_the_package_without_the_labs_sources(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (whole,) = tmp_path.glob("*.whl")
    assert any("notebooks/source/01" in name for name in zipfile.ZipFile(whole).namelist())
    stripped = tmp_path / "students" / whole.name
    stripped.parent.mkdir()
    stripped.write_bytes(student_wheel(whole))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    target = tmp_path / "installed"
    subprocess.run([*pip, "--target", target, stripped], check=True, capture_output=True)
    assert (target / "moe_labs" / "exercises" / "lab01.py").exists()
    assert not (target / "moe_labs" / "notebooks" / "source").exists()
    assert not any("BEGIN SOLUTION" in p.read_text() for p in target.rglob("[0-9]*.py"))
