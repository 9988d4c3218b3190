import keras
import pytest

from moe_keras.runs.backbones import backbone


@pytest.fixture
def fetch(monkeypatch):
    """Function that asks for a backbone whose weights fail to come by what a function raises."""

    def ask(function):
        def build(**options):
            function()

        build.__module__ = "keras.src.applications.mobilenet_v2"
        monkeypatch.setattr(keras.applications, "MobileNetV2", build)
        return backbone(keras.Input((32, 32, 3)), "MobileNetV2", "pretrained", "cifar10")

    return ask


def failing(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        Exception("URL fetch failure on https://...: None -- Name or service not known"),
        TimeoutError("timed out"),
        ConnectionResetError("reset by peer"),
    ],
)
def test_a_failed_download_is_told_as_one(fetch, error):
    with pytest.raises(ConnectionError, match=r"download .* of MobileNetV2.*random") as caught:
        fetch(failing(error))
    assert str(error) in str(caught.value)


@pytest.mark.parametrize(
    "error", [ValueError("Input size must be at least 75x75"), MemoryError(), Exception("others")]
)
def test_what_is_no_failed_download_stays_as_it_is(fetch, error):
    with pytest.raises(type(error)) as caught:
        fetch(failing(error))
    assert caught.value is error


def test_a_damaged_file_of_weights_is_told_as_one(fetch, tmp_path):
    path = tmp_path / "x.weights.h5"
    path.write_bytes(b"<html>")
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(OSError, match=r"in .*models.* Received: .*signature.*delete") as caught:
        fetch(lambda: network.load_weights(path))
    assert not isinstance(caught.value, ConnectionError)
