import os
from pathlib import Path

import pytest

from moe_common.keras_home import keras_home

TEMPORARY = Path("/tmp/.keras")


@pytest.fixture
def read_only(monkeypatch):
    """Function that closes a folder; not by permissions, which do not bind an administrator."""
    closed, access = set(), os.access

    def refuse(path, mode):
        return str(path) not in closed and access(path, mode)

    monkeypatch.setattr(os, "access", refuse)
    return lambda path: closed.add(str(path))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_it_is_in_the_home_before_keras_has_made_it_and_afterwards(home):
    assert keras_home() == home / ".keras"
    assert not keras_home().exists()
    keras_home().mkdir()
    assert keras_home() == home / ".keras"


def test_the_chosen_one_goes_first(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "~/mine/deep")
    assert keras_home() == home / "mine" / "deep"


def test_a_read_only_home_moves_it_although_the_folder_in_it_is_open(home, read_only):
    (home / ".keras").mkdir()
    read_only(home)
    assert keras_home() == TEMPORARY


def test_a_read_only_folder_moves_it(home, read_only, monkeypatch):
    (home / ".keras").mkdir()
    read_only(home / ".keras")
    assert keras_home() == TEMPORARY
    monkeypatch.setenv("KERAS_HOME", str(home / "new"))
    assert keras_home() == home / "new"


def test_a_chosen_one_that_cannot_be_made_moves_it(home, read_only, monkeypatch):
    (home / "shared").mkdir()
    read_only(home / "shared")
    monkeypatch.setenv("KERAS_HOME", str(home / "shared" / "not" / "there"))
    assert keras_home() == TEMPORARY


def test_a_chosen_one_without_a_name_is_none(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "")
    assert keras_home() == TEMPORARY


def test_a_user_without_a_home(home, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert keras_home() == TEMPORARY
