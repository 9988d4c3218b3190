from types import SimpleNamespace

from exit_status import exit_status

from moe_keras import data
from moe_keras.commands.main import main


def run(*arguments):
    """The exit status of `moe-keras ARGUMENTS`."""
    return exit_status(main, *arguments)


def test_data_shows_every_dataset(capsys, monkeypatch):
    place = SimpleNamespace(source="local file", note="in the cupboard")
    monkeypatch.setattr(data, "locate", lambda name: place)
    assert run("data") == 0
    shown = capsys.readouterr().out
    for text in ("cifar10", "mnist", "fashion_mnist", "local file", "in the cupboard"):
        assert text in shown


def test_data_fetch_and_verify_pass_on_what_they_are_given(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        data, "fetch", lambda name, data_dir: SimpleNamespace(note=f"{name} in {data_dir}")
    )
    monkeypatch.setattr(data, "verify", lambda target: SimpleNamespace(note=f"{target} is whole"))
    assert run("data", "fetch", "mnist", "--data-dir", str(tmp_path)) == 0
    assert run("data", "verify", "mnist.npz") == 0
    assert capsys.readouterr().out == f"mnist in {tmp_path}\nmnist.npz is whole\n"


def test_a_damaged_file_is_refused(capsys, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 cut short")
    assert run("data", "verify", str(tmp_path / "mnist.npz")) == 1
    assert capsys.readouterr().err.startswith("Error: Expected")
