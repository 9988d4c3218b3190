import hashlib
import json
import shutil
import socket

import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras.experts import FrozenExpert, pretrained_card, pretrained_vgg, vgg
from moe_keras.experts.pretrained import FOLDER, load_weights, write_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3)).astype("uint8")
CARDS = {
    "natural": {"classes": ["bird", "cat", "deer"], "dataset": "cifar10"},
    "artificial": {"classes": ["ship", "truck"], "dataset": "cifar10"},
}


def network(classes, width=4):
    keras.utils.set_random_seed(1)
    return vgg(classes, widths=(width,), input_shape=(9, 9, 3))


@pytest.fixture
def folder(tmp_path):
    """Two small networks as `pretrain` writes them."""
    for name, about in CARDS.items():
        about = {"network": name, "widths": [4], "input_shape": [9, 9, 3], **about}
        model = network(len(about["classes"]))
        command = f"moe-keras pretrain {name}"
        write_weights(tmp_path / "cifar10" / f"{name}.npz", model, {**about, "command": command})
    return tmp_path


def change_card(folder, **changes):
    path = folder / "cifar10" / "natural.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_answers_as_the_network_that_was_written(folder):
    expert = pretrained_vgg("natural", folder=folder)
    assert expert.name == "natural_cifar10"
    model = network(3)
    model.set_weights([np.float16(weight) for weight in model.get_weights()])
    assert np.array_equal(to_numpy(expert(IMAGES)), to_numpy(model(IMAGES)))


def test_it_is_frozen(folder):
    expert = pretrained_vgg("natural", folder=folder)
    assert isinstance(expert, FrozenExpert)
    model = keras.Sequential([keras.Input((9, 9, 3)), expert, keras.layers.Dense(2)])
    model.trainable = True
    before = expert.get_weights()
    model.compile("sgd", "mse")
    model.fit(IMAGES, np.ones((3, 2)), verbose=0)
    assert len(model.trainable_weights) == 2
    assert all(np.array_equal(a, b) for a, b in zip(before, expert.get_weights(), strict=True))


def test_it_needs_no_network(folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert pretrained_vgg("artificial", folder=folder).layer.output_shape == (None, 2)


def test_an_unknown_network_names_those_there_are(folder, tmp_path):
    with pytest.raises(
        ValueError, match=r"artificial of cifar10, natural of cifar10.*pretrain.*plants of mnist"
    ):
        pretrained_vgg("plants", "mnist", folder=folder)
    with pytest.raises(ValueError, match=r"there are no weights in .*nowhere"):
        pretrained_card("natural", folder=tmp_path / "nowhere")


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: flipped(content, len(content) // 2),
        lambda content: flipped(content, len(content) - 1),
        lambda content: content[:-1],
        lambda content: content[:100],
        lambda content: b"",
    ],
)
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "cifar10" / "natural.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"SHA-256.*damaged.*Received: SHA-256"):
        pretrained_vgg("natural", folder=folder)


def test_the_weights_of_another_network_are_refused(folder):
    for ending in (".npz", ".json"):
        shutil.copy(folder / f"cifar10/artificial{ending}", folder / f"cifar10/natural{ending}")
    with pytest.raises(ValueError, match=r"network natural of cifar10.*Received.*artificial of"):
        pretrained_vgg("natural", folder=folder)


def test_the_weights_of_another_dataset_are_refused(folder):
    (folder / "cifar10").rename(folder / "cifar10-stand-in")
    with pytest.raises(ValueError, match=r"of cifar10-stand-in. Received.*natural of cifar10"):
        pretrained_vgg("natural", "cifar10-stand-in", folder=folder)


@pytest.mark.parametrize(
    "changes", [{"widths": [5]}, {"widths": [4, 4]}, {"classes": ["cat", "dog"]}]
)
def test_the_weights_of_another_architecture_are_refused(folder, changes):
    change_card(folder, **changes)
    with pytest.raises(ValueError, match=r"Train it anew: moe-keras pretrain natural.*Received"):
        pretrained_vgg("natural", folder=folder)


def test_a_missing_or_damaged_card_is_refused(folder):
    path = folder / "cifar10" / "natural.json"
    whole = path.read_text()
    for damaged, message in (
        (whole[:50], "to be a card"),
        ("[]", "one without"),
        ("7", "to be a card"),
        (whole.replace("sha256", "sha"), r"one without \['sha256'\]"),
    ):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=message):
            pretrained_vgg("natural", folder=folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"Expected one of.*Received: natural of cifar10"):
        pretrained_vgg("natural", folder=folder)


def test_arrays_with_code_in_them_are_refused(folder):
    path = folder / "cifar10" / "natural.npz"
    np.savez(path, np.array([{}], dtype=object))
    change_card(folder, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match="file of plain arrays"):
        load_weights(path)


def test_the_card_tells_what_was_written(folder):
    about = pretrained_card("natural", folder=folder)
    assert about["classes"] == ["bird", "cat", "deer"]
    assert len(about["sha256"]) == 64


SHIPPED = sorted(path.relative_to(FOLDER) for path in FOLDER.glob("*/*.npz"))


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_what_is_shipped_is_whole_and_small(path):
    dataset, network = path.parent.name, path.stem
    about = pretrained_card(network, dataset)
    expert = pretrained_vgg(network, dataset)
    assert expert.layer.count_params() == about["parameters"]
    assert (FOLDER / path).stat().st_size < (2e5 if "stand-in" in dataset else 5e6)
    probabilities = to_numpy(expert(np.zeros((1, *about["input_shape"]), "uint8")))
    assert probabilities.shape == (1, len(about["classes"]))
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)
    for key in ("seed", "epochs", "minutes", "machine", "split", "images", "date", "versions"):
        assert about[key] or key == "seed", key
    assert set(about["accuracy"]) == {"validation", "test"}
