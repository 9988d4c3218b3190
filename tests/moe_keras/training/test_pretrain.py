import numpy as np
import pytest

from moe_keras import data
from moe_keras.data.datasets import Dataset
from moe_keras.experts import pretrained_card, pretrained_vgg
from moe_keras.training._lookahead import Lookahead
from moe_keras.training.pretrain import examples, pretrain


def images(source="local file"):
    """A CIFAR-10 of 9 x 9 pixels; the class is in the brightness."""
    rng, parts = np.random.default_rng(0), {}
    for part, count in (("train", 60), ("validation", 20), ("test", 30)):
        labels = (np.arange(count) % 10).astype("int32")
        noise = rng.integers(0, 20, (count, 9, 9, 3))
        parts[f"x_{part}"] = (noise + 23 * labels[:, None, None, None]).astype("uint8")
        parts[f"y_{part}"] = labels
    names = data.SPECS["cifar10"].class_names
    return Dataset(name="cifar10", title="CIFAR-10", class_names=names, source=source, **parts)


def train(network, folder, **options):
    options = {"widths": (4,), "epochs": 1, "verbose": 0, **options}
    return pretrain(network, output=folder, **options)


IMAGES = images()


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: IMAGES)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a base, trained for two epochs."""
    folder = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: IMAGES)
        train("base", folder, epochs=2, seed=3)
    return folder


def check(network, folder, about, classes, split):
    assert len(about["classes"]) == classes
    assert list(about["split"].values()) == split
    assert about == pretrained_card(network, folder=folder)
    expert = pretrained_vgg(network, folder=folder)
    assert expert.layer.output_shape == (None, classes)
    return expert


def test_the_base_knows_all_classes(base):
    check("base", base, pretrained_card("base", folder=base), 10, [60, 20, 30])


def test_an_expert_knows_its_own_classes(base):
    check("natural", base, train("natural", base), 6, [36, 12, 18])


def test_labels_of_a_group_follow_its_ids_in_whatever_order():
    images, groups = np.arange(5)[:, np.newaxis], {"odd": (3, 1)}
    own, labels = examples("odd", groups, images, np.array([3, 1, 2, 1, 3]))
    assert own.ravel().tolist() == [0, 1, 3, 4]
    assert labels.tolist() == [0, 1, 1, 0]
    assert [len(each) for each in examples("odd", groups, images, np.full(5, 2))] == [0, 0]


def test_the_gate_knows_the_groups_and_starts_from_the_base(base):
    about = train("group-gate", base)
    gate = check("group-gate", base, about, 2, [60, 20, 30])
    assert about["classes"] == ["natural", "artificial"]
    # The first filters never move; in 16 bits.
    first = pretrained_vgg("base", folder=base).get_weights()[0]
    np.testing.assert_allclose(gate.get_weights()[0], first, rtol=2e-3)


def test_the_card_says_how_it_was_made_and_how_good_it_is(base):
    about = pretrained_card("base", folder=base)
    assert about["command"] == (
        "moe-keras pretrain base --dataset cifar10 --epochs 2 --seed 3 --widths 4 "
        "--precision float32"
    )
    assert (about["dataset"], about["images"]) == ("cifar10", "CIFAR-10")
    expert, truth = pretrained_vgg("base", folder=base), IMAGES.y_test
    one, other = (np.array(expert(x)) for x in (IMAGES.x_test, IMAGES.x_test[:, :, ::-1]))
    assert about["accuracy"]["test"] == {
        "one view": round(float((one.argmax(axis=1) == truth).mean()), 4),
        "two views": round(float(((one + other).argmax(axis=1) == truth).mean()), 4),
    }


def test_stand_in_images_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: images("stand-in"))
    assert train("base", tmp_path)["dataset"] == "cifar10-stand-in"
    assert pretrained_vgg("base", "cifar10-stand-in", folder=tmp_path)
    with pytest.raises(ValueError, match=r"Received: base of cifar10$"):
        pretrained_vgg("base", folder=tmp_path)


def test_the_gate_needs_a_base_of_its_widths(tmp_path, base):
    with pytest.raises(ValueError, match=r"base network at .*train it first"):
        train("group-gate", tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"widths of the base .*\[4\]. Received: widths=\(5,\)"):
        train("group-gate", base, widths=(5,))


def test_interrupted_it_goes_on_to_the_same_network(base, tmp_path, monkeypatch):
    real, count = Lookahead.on_train_batch_end, iter(range(1))

    def stopping(self, batch, logs=None):
        real(self, batch, logs)
        if next(count, None) is None:  # in the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lookahead, "on_train_batch_end", stopping)
        train("base", tmp_path, epochs=2, seed=3)
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["base.checkpoint.npz"]
    parts = train("base", tmp_path, epochs=2, seed=3)
    assert parts["accuracy"] == pretrained_card("base", folder=base)["accuracy"]
    a, b = (pretrained_vgg("base", folder=folder) for folder in (base, tmp_path))
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=1e-5)  # 16 bits
    assert not (tmp_path / "cifar10/base.checkpoint.npz").exists()


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"base, natural, artificial, group-gate.*'plants'"):
        train("plants", tmp_path)
