import shutil
import subprocess
import time
import zipfile

import nbformat
import pytest
import pyzipper

from moe_common.install import repository
from moe_labs.course import release as release_module
from moe_labs.course.release import release
from moe_labs.notebooks.generate import solution_copy, write_notebook

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """Students have something to install."""
    monkeypatch.setattr(release_module, "repository", lambda root: "https://example.org/moe")


@pytest.fixture
def zips(lab, tmp_path):
    return release([lab], tmp_path / "out", PASSWORD)


def decrypted(path, password=PASSWORD):
    with pyzipper.AESZipFile(path) as archive:
        archive.setpassword(password.encode())
        return {name: archive.read(name) for name in archive.namelist()}


def test_students_get_copies_without_answers_and_an_environment(zips):
    with zipfile.ZipFile(zips[0]) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert list(files) == [
        "moe_keras-labs/README.md",
        "moe_keras-labs/constraints.txt",
        "moe_keras-labs/environment.yml",
        "moe_keras-labs/notebooks/01_sums.ipynb",
        "moe_keras-labs/requirements.txt",
    ]
    notebook = files["moe_keras-labs/notebooks/01_sums.ipynb"]
    nbformat.validate(nbformat.reads(notebook, as_version=4))
    assert "total_of_both" not in "".join(files.values())
    assert "sums and more, about 5 minutes" in files["moe_keras-labs/README.md"]
    pins = files["moe_keras-labs/constraints.txt"].splitlines()
    names = [pin.partition("==")[0] for pin in pins]
    assert names == sorted(names)
    assert any(pin.startswith("keras==") for pin in pins)
    assert any(pin.startswith("jupyterlab==") for pin in pins)
    assert not any(pin.startswith("moe-keras") for pin in pins)


def test_solutions_are_encrypted_and_open_with_the_password_alone(zips):
    assert b"total_of_both" not in zips[1].read_bytes()
    (solved,) = decrypted(zips[1]).values()
    assert b"total_of_both" in solved
    assert b"assert add(-10, 10)" in solved
    with pytest.raises(RuntimeError, match="password"):
        decrypted(zips[1], "wrong horse")
    with zipfile.ZipFile(zips[1]) as archive:  # knows no AES: must not get at anything
        with pytest.raises((RuntimeError, NotImplementedError)):
            archive.read(archive.namelist()[0], PASSWORD.encode())
        assert all(info.compress_type == 99 for info in archive.infolist())  # AES's mark


def test_an_executed_solution_is_taken_if_it_is_that_of_the_source(lab, tmp_path):
    executed = solution_copy(lab)
    executed.cells[1].outputs = [nbformat.v4.new_output("stream", text="a figure")]
    write_notebook(executed, lab.solution)
    _, solutions = release([lab], tmp_path / "out", PASSWORD)
    assert b"a figure" in b"".join(decrypted(solutions).values())
    executed.cells[1].source += "\n# older"
    write_notebook(executed, lab.solution)
    _, solutions = release([lab], tmp_path / "out", PASSWORD, force=True)
    assert b"a figure" not in b"".join(decrypted(solutions).values())


def test_a_release_made_again_is_the_same(lab, zips, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    again = release([lab], tmp_path / "again", PASSWORD)
    assert again[0].read_bytes() == zips[0].read_bytes()
    assert decrypted(again[1]) == decrypted(zips[1])
    assert again[1].read_bytes() != zips[1].read_bytes()  # another salt
    describe = [
        [(i.filename, i.date_time, i.external_attr, i.create_system) for i in archive.infolist()]
        for archive in (zipfile.ZipFile(zips[1]), zipfile.ZipFile(again[1]))
    ]
    assert describe[0] == describe[1]


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs the program unzip")
def test_another_program_opens_the_students_file(zips, tmp_path):
    subprocess.run(["unzip", "-q", zips[0], "-d", tmp_path / "opened"], check=True)
    copy = tmp_path / "opened" / "moe_keras-labs" / "notebooks" / "01_sums.ipynb"
    assert copy.stat().st_mode & 0o777 == 0o644
    nbformat.validate(nbformat.read(copy, as_version=4))


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs the program 7z")
def test_another_program_opens_the_solutions_with_the_password_alone(zips):
    test = [*("7z", "t", "-bd"), zips[1]]
    assert subprocess.run([*test, f"-p{PASSWORD}"], capture_output=True).returncode == 0
    assert subprocess.run([*test, "-pwrong"], capture_output=True).returncode != 0


def test_nothing_is_replaced_unless_forced(lab, zips, tmp_path):
    before = [path.read_bytes() for path in zips]
    with pytest.raises(FileExistsError, match="--force"):
        release([lab], tmp_path / "out", PASSWORD)
    zips[0].unlink()
    with pytest.raises(FileExistsError, match="solutions"):
        release([lab], tmp_path / "out", PASSWORD)
    release([lab], tmp_path / "out", PASSWORD, force=True)
    assert zips[0].read_bytes() == before[0]


def test_a_short_password_is_refused(lab, tmp_path):
    with pytest.raises(ValueError, match="at least 8"):
        release([lab], tmp_path / "out", "horse")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_something_leaks(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(release_module, "student_copy", solution_copy)
    with pytest.raises(ValueError, match="total_of_both"):
        release([lab], tmp_path / "out", PASSWORD)
    assert not (tmp_path / "out").exists()


def test_an_interruption_leaves_the_old_release(lab, zips, tmp_path, monkeypatch):
    before = [path.read_bytes() for path in zips]

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(release_module, "write_encrypted_zip", stop)
    with pytest.raises(KeyboardInterrupt):
        release([lab], tmp_path / "out", PASSWORD, force=True)
    assert [path.read_bytes() for path in zips] == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "moe_keras-labs.zip",
        "moe_keras-solutions.zip",
    ]


def test_without_a_wheel_and_an_address_nothing_is_handed_out(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(release_module, "repository", lambda root: None)
    with pytest.raises(ValueError, match=r"Received: neither\. .*pip wheel .*--wheel"):
        release([lab], tmp_path / "out", PASSWORD)
    assert not (tmp_path / "out").exists()


def test_students_install_from_the_address_where_it_is_set(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(release_module, "repository", repository)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[project.urls]\nRepository = "https://gitlab.com/a/b"\n'
    )
    (zipped, _) = release([lab], tmp_path / "out", PASSWORD)
    with zipfile.ZipFile(zipped) as archive:
        wanted = archive.read("moe_keras-labs/requirements.txt").decode()
    assert "moe-keras[labs,spark] @ git+https://gitlab.com/a/b" in wanted
