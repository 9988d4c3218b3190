"""What runs in a sandbox has limits, and on Linux sees nothing but what it needs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from nested_folders import nest

from moe_labs.course import sandbox as module
from moe_labs.course.limits import Limits
from moe_labs.course.sandbox import Sandbox, isolation_problem, programs_on_path

ISOLATED = pytest.mark.skipif(isolation_problem() is not None, reason=f"{isolation_problem()}")


def run(box, code, isolate=False, references=True, **limits):
    """What Python code in a sandbox printed."""
    sandbox = Sandbox(box, isolate, Limits(**limits), references)
    sandbox.make_folders()
    done = subprocess.run(
        sandbox.command([sys.executable, "-c", code]),
        cwd=sandbox.work,
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout.strip() or (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]


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


@pytest.mark.parametrize("isolate", [False, pytest.param(True, marks=ISOLATED)])
def test_keras_finds_what_has_been_downloaded_and_changes_none_of_it(
    box, isolate, monkeypatch, tmp_path
):
    downloaded = tmp_path / "keras" / "datasets"
    (downloaded / "unpacked").mkdir(parents=True)
    (downloaded / "digits.npz").write_text("all there")
    monkeypatch.setenv("KERAS_HOME", str(downloaded.parent))
    asked = """
from pathlib import Path
from moe_common.keras_home import keras_home
datasets = keras_home() / "datasets"
(datasets / "new").mkdir()
print(sorted(path.name for path in datasets.iterdir()), (datasets / "digits.npz").read_text())
"""
    assert run(box, asked, isolate) == "['digits.npz', 'new'] all there"
    assert sorted(path.name for path in downloaded.iterdir()) == ["digits.npz", "unpacked"]


def test_answers_alone_do_not_know_the_courses_word(box, monkeypatch):
    monkeypatch.setenv("MOE_KERAS_GRADING", "w0rd")
    ask = "import os; print(os.environ.get('MOE_KERAS_GRADING'))"
    assert run(box, ask) == "w0rd"
    assert run(box, ask, references=False) == "None"


@pytest.mark.parametrize("path", [None, "", "/usr/bin:/bin"])
def test_programs_are_found_and_path_is_as_it_was(monkeypatch, path):
    monkeypatch.delenv("PATH") if path is None else monkeypatch.setenv("PATH", path)
    with programs_on_path():
        assert os.environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        assert len(os.environ["PATH"].split(os.pathsep)) > 1
    assert os.environ.get("PATH") == path


@ISOLATED
def test_shell_commands_run(box, monkeypatch):
    monkeypatch.delenv("PATH")
    assert run(box, "import os; os.system('ls /usr > /dev/null && echo found')", True) == "found"


LISTED = """
import os
for path in PATHS:
    try:
        print(path, os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(9))
    except OSError:
        print(path, None)
"""


@ISOLATED
def test_nothing_is_seen_but_what_is_needed(box, tmp_path):
    private = tmp_path / "marks.txt"
    private.write_text("1")
    paths = [str(private), str(Path.home() / ".ssh"), "/etc/shadow", "/etc/ssh", "/run", "/var"]
    paths += ["/sys", "/boot", "/mnt", "/srv", "/proc/1/root/etc/shadow", "/home", "/dev/vda"]
    said = run(box, LISTED.replace("PATHS", repr(paths)), True).splitlines()
    assert said == [f"{path} None" for path in paths]
    root = eval(run(box, "import os; print(sorted(os.listdir('/')))", True))
    assert set(root) <= {
        "bin",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "proc",
        "sbin",
        "tmp",
        "usr",
    } | {path.parts[1] for path in (*module._kept(), box)}


WRITES = """
import os
for path in PATHS:
    try:
        with open(path, 'a') as file:
            print('written', path)
    except OSError:
        pass
print('end')
"""


@ISOLATED
def test_nothing_can_be_written_but_its_own(box, tmp_path):
    paths = ["/new", "/usr/new", "/etc/new", "/etc/passwd", "/dev/new", "/root/new"]
    paths += ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"]
    paths += [str(Path(module.__file__)), str(Path(sys.prefix) / "new")]
    own = [str(box / "work" / "own"), "/tmp/own", "/dev/shm/own", "/dev/null"]
    said = run(box, WRITES.replace("PATHS", repr(paths + own)), True).splitlines()
    assert said == [*(f"written {path}" for path in own), "end"]
    run(box, WRITES.replace("PATHS", repr([str(tmp_path / "new")])), True)
    assert not (tmp_path / "new").exists()  # it has a folder of that name for itself
    assert not Path("/tmp/own").exists()


def a_package(folder):
    """A package like an installed one, which has the labs' sources; its name where it runs."""
    package = folder / "moe_labs"
    for path in ("notebooks/source/lab.py", "course/sandbox.py"):
        (package / path).parent.mkdir(parents=True)
        (package / path).write_text("secret")
    return package


@ISOLATED
def test_the_sources_in_a_package_are_not_seen(box, tmp_path, monkeypatch):
    package, kept = a_package(tmp_path), module._kept()
    monkeypatch.setattr(module, "_kept", lambda: [*kept, package])
    look = LISTED.replace("PATHS", repr([str(package), str(package / "notebooks" / "source")]))

    def seen(**how):
        return [eval(line.partition(" ")[2]) for line in run(box, look, True, **how).splitlines()]

    there = ["course", "notebooks"]
    monkeypatch.setattr(module, "_masked", lambda references: [])
    assert [sorted(names) for names in seen()] == [there, ["lab.py"]]  # this test can see
    monkeypatch.undo()
    monkeypatch.setattr(module, "_kept", lambda: [*kept, package])
    monkeypatch.setattr(module, "__file__", str(package / "course" / "sandbox.py"))
    whole, source = seen()
    assert (sorted(whole), source) == (there, [])
    assert seen(references=False) == [[], None]


@ISOLATED
def test_answers_see_nothing_of_the_course(box):
    labs = Path(module.__file__).parents[1]
    assert run(box, f"import os; print(os.listdir({str(labs)!r}))", True, references=False) == "[]"
    said = run(box, "import moe_labs.exercises.lab01", True, references=False)
    assert said.startswith("ModuleNotFoundError")


REACHES = """
import socket
for kind, where in PLACES:
    try:
        socket.socket(kind, 1).connect(where)
        print('reached', where)
    except OSError as error:
        print('no')
"""


@ISOLATED
def test_no_socket_of_the_computer_is_reached(box, tmp_path):
    path = str(tmp_path / "service")
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        named.bind(path)
        named.listen()
        abstract.bind("\0moe-keras-test")
        abstract.listen()
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        places = [
            (1, path),
            (1, "\0moe-keras-test"),
            (2, ("127.0.0.1", port)),
            (2, ("10.0.0.1", 80)),
        ]
        code = REACHES.replace("PLACES", repr(places))
        assert run(box, code, True).split() == ["no"] * 4
        server.close()


@ISOLATED
def test_its_own_loopback_works(box):
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(s.getsockname()); print('connected')"
    )
    assert run(box, code, True) == "connected"


@ISOLATED
def test_its_users_are_made_up(box):
    code = (
        "import os, pwd\nprint(pwd.getpwuid(os.getuid())[0])\n"
        "for name in ('passwd', 'group'): print(open(f'/etc/{name}').read(), end='')"
    )
    name, *lines = run(box, code, True).splitlines()
    assert name == "student"
    assert [line.split(":")[0] for line in lines] == ["student", "nobody"] * 2


@ISOLATED
def test_there_are_no_other_processes(box):
    assert run(box, "import os; print(os.getpid(), os.getppid())", True) == "1 0"


@ISOLATED
@pytest.mark.parametrize(
    "undo",
    [
        *("umount2(b'/proc', 2)", "mount(b'/', b'/tmp', None, 4096, None)", "chroot(b'/tmp')"),
        *("unshare(0x10000000)", "unshare(0x00020000)", "setuid(12)", "sethostname(b'x', 1)"),
    ],
)
def test_it_cannot_undo_its_confinement(box, undo):
    assert run(box, f"import ctypes; print(ctypes.CDLL(None).{undo})", True) == "-1"


@ISOLATED
@pytest.mark.parametrize(
    ("code", "limits"),
    [
        (
            "import mmap, time\nm = mmap.mmap(-1, 400 * 2**20)\nm.write(bytes(400 * 2**20))\n"
            "time.sleep(30)\nprint('kept')",
            {"memory_mb": 200},
        ),
        (
            "import time\nfor n in range(9):\n    open(str(n), 'wb').write(bytes(2**20))\n"
            "time.sleep(30)\nprint('kept')",
            {"disk_mb": 5},
        ),
        (
            "import os, time\nfor _ in range(20):\n    os.mkdir('d' * 250)\n"
            "    os.chdir('d' * 250)\nfor n in range(9):\n"
            "    open(str(n), 'wb').write(bytes(2**20))\ntime.sleep(30)\nprint('kept')",
            {"disk_mb": 5},
        ),
        (
            "import os, time\nfor _ in range(300):\n    os.mkdir('d')\n    os.chdir('d')\n"
            "time.sleep(30)\nprint('kept')",
            {},
        ),
    ],
    ids=["shared memory", "disk", "disk behind a long path", "folders without end"],
)
def test_what_no_limit_of_a_process_holds_is_watched(box, code, limits):
    assert run(box, code, True, **limits) in ("137", "MemoryError")


def test_a_long_name_of_the_temporary_folder_is_gone_round(monkeypatch, tmp_path):
    long = tmp_path / ("t" * 85)
    long.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(long))
    assert len(module.short_temporary_folder()) <= module.LONGEST_TEMPORARY
    monkeypatch.setattr(module.os, "access", lambda *what: False)
    with pytest.raises(OSError, match="set TMPDIR to a shorter one"):
        module.short_temporary_folder()


def leave_deep(folder, outside):
    os.close(nest(folder, "d", 1500))


def leave_long(folder, outside):
    last = nest(folder, "d" * 250, 30)
    os.close(os.open("f" * 250, os.O_WRONLY | os.O_CREAT, dir_fd=last))
    os.close(last)


def leave_wide_and_deep(folder, outside):
    for number in range(20):
        (folder / str(number)).mkdir()
        os.close(nest(folder / str(number), "d", 60))


def leave_closed(folder, outside):
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("")
    for path in (folder / "a" / "b" / "c", folder / "a" / "b", folder / "a"):
        path.chmod(0)


def leave_read_only(folder, outside):
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("")
    for path in (folder / "a" / "b" / "c", folder / "a" / "b", folder / "a"):
        path.chmod(0o500)


def leave_links(folder, outside):
    (folder / "file").symlink_to(outside / "file")
    (folder / "folder").symlink_to(outside)
    (folder / "nowhere").symlink_to(folder / "nothing")
    (folder / "round").symlink_to(folder)


def leave_odd_files(folder, outside):
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(str(folder / "s"))
    for name in (b"\xff", b"a\nb", b"-rf", b"*"):
        os.close(os.open(os.fsencode(folder) + b"/" + name, os.O_CREAT))


LEAVE = [each for name, each in sorted(globals().items()) if name.startswith("leave_")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
@pytest.mark.parametrize("leave", LEAVE, ids=lambda leave: leave.__name__)
def test_whatever_is_left_is_removed_and_nothing_else(monkeypatch, tmp_path, leave):
    monkeypatch.chdir(tmp_path)  # a socket's name is to be short
    outside, folder = tmp_path / "outside", Path("x")
    for path in (outside, folder):
        path.mkdir()
    (outside / "file").write_text("kept")
    outside.chmod(0o711)
    try:
        leave(folder, outside)
        module.remove(folder)
        assert not folder.exists()
        assert (outside / "file").read_text() == "kept"
        assert outside.stat().st_mode & 0o777 == 0o711
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def test_removing_what_is_no_folder_does_nothing(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("nothing", "file", "link"):
        module.remove(tmp_path / name)
    module.remove(str(tmp_path / "nothing"))
    assert (tmp_path / "file").exists() and (tmp_path / "folder" / "file").exists()


@pytest.mark.parametrize("error", [RecursionError, MemoryError, OSError, ValueError])
def test_what_cannot_be_removed_stays_and_nothing_is_raised(tmp_path, monkeypatch, error):
    def fail(*what, **how):
        raise error

    (tmp_path / "x" / "y").mkdir(parents=True)
    monkeypatch.setattr(module, "_flatten", fail)
    monkeypatch.setattr(module.shutil, "rmtree", fail)
    module.remove(tmp_path / "x")
