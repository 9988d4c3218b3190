"""The parts of the confinement that need no confined process."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nested_folders import nest

from moe_labs.course import confine

INFINITE = float("inf")


def write(folder, name, size):
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.write(descriptor, bytes(size))
    os.close(descriptor)


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the watch is Linux's")


@ON_LINUX
@pytest.mark.parametrize(("name", "depth"), [("d", 0), ("d", 3), ("d" * 250, 20), ("d", 150)])
def test_what_is_below_is_counted_however_long_its_path_is(tmp_path, name, depth):
    empty = confine._size_of(tmp_path)
    last = nest(tmp_path, name, depth)
    for number in range(3):
        write(last, str(number), 2**20)
    os.close(last)
    size = confine._size_of(tmp_path) - empty
    assert 3 * 2**20 <= size < 3.9 * 2**20


@ON_LINUX
def test_a_link_is_not_followed(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "large").write_bytes(bytes(2**20))
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "large")
    (inside / "round").symlink_to(inside)
    assert confine._size_of(inside) < 2**20


@ON_LINUX
@pytest.mark.parametrize("kind", ["too deep", "too many", "closed", "no longer a folder"])
def test_what_cannot_be_counted_is_too_much(tmp_path, monkeypatch, kind):
    os.close(nest(tmp_path, "d", confine.DEEPEST + 10 if kind == "too deep" else 2))
    before = len(os.listdir("/proc/self/fd"))
    if kind == "too many":
        monkeypatch.setattr(confine, "MOST_IN_BOX", 1)
    if kind == "closed":  # to root nothing is
        listdir = os.listdir
        monkeypatch.setattr(os, "listdir", lambda path: refuse(path, listdir))
    if kind == "no longer a folder":
        monkeypatch.setattr(confine.stat, "S_ISDIR", lambda mode: True)
        (tmp_path / "file").write_text("")
    assert confine._size_of(tmp_path) == INFINITE
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before


def refuse(path, listdir):
    names = listdir(path)
    if names != ["d"]:
        raise PermissionError(13, "Permission denied")
    return names


@ON_LINUX
def test_what_is_removed_meanwhile_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "kept").write_bytes(bytes(2**20))
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listdir(path), "gone"])
    assert 2**20 <= confine._size_of(tmp_path) < 2**21


def test_where_no_process_becomes_another_one_is_waited_for(monkeypatch):
    monkeypatch.setattr(confine, "os", SimpleNamespace(name="nt"))
    with pytest.raises(SystemExit) as ended:
        confine._become([sys.executable, "-c", "raise SystemExit(7)"])
    assert ended.value.code == 7


@ON_LINUX
def test_users_are_made_up(tmp_path):
    confine._make_up_users(tmp_path / "etc", Path("/box/home"))
    for name, fields in (("passwd", 7), ("group", 4)):
        lines = (tmp_path / "etc" / name).read_text().splitlines()
        assert [line.count(":") + 1 for line in lines] == [fields] * 2
        assert [line.split(":")[0] for line in lines] == ["student", "nobody"]
