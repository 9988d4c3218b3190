import keras
import numpy as np
import pytest

from moe_keras.experts import vgg
from moe_keras.training._lookahead import Lookahead
from moe_keras.training.recipe import start_vgg, train_vgg

# Two classes that differ in brightness; 300 images make two batches an epoch.
LABELS = np.random.default_rng(0).integers(0, 2, 300)
NOISE = np.random.default_rng(1).integers(0, 100, (300, 9, 9, 3))
IMAGES = (NOISE + 130 * LABELS[:, None, None, None]).astype("uint8")


def network():
    keras.utils.set_random_seed(1)
    model = vgg(2, widths=(4,), input_shape=(9, 9, 3))
    start_vgg(model, IMAGES)
    return model


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def train(model, checkpoint=None, labels=LABELS, epochs=3, **options):
    validation = (IMAGES[:50], LABELS[:50])
    options = {"seed": 2, "verbose": 0, "checkpoint": checkpoint, **options}
    return train_vgg(model, IMAGES, labels, validation, epochs, **options)


@pytest.fixture(scope="module")
def trained():
    """A training without interruption: weights and history."""
    model = network()
    history = train(model)
    return model.get_weights(), history


def untimed(history):
    return [{name: said[name] for name in said if name != "seconds"} for said in history]


def assert_as_trained(model, history, trained):
    for a, b in zip(model.get_weights(), trained[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(untimed(history), untimed(trained[1]), strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def stop_after(monkeypatch, steps):
    """Let training stop as by Ctrl-C after so many steps, once."""
    count = iter(range(steps - 1))
    real = Lookahead.on_train_batch_end

    def counted(self, batch, logs=None):
        real(self, batch, logs)
        if next(count, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(Lookahead, "on_train_batch_end", counted)


def test_the_start_whitens_and_passes_on():
    first, conv, _ = convolutions(network())
    kernel, bias = first.get_weights()
    assert np.array_equal(kernel[..., :12], -kernel[..., 12:])
    assert not bias.any()
    (kernel,) = conv.get_weights()  # (3, 3, 24, 4)
    expected = np.zeros((3, 3, 24, 4))
    expected[1, 1, range(4), range(4)] = 1
    assert np.array_equal(kernel, expected)


def test_filters_without_a_channel_to_pass_on_are_random():
    model = vgg(2, widths=(30,), input_shape=(9, 9, 3))
    start_vgg(model, IMAGES, seed=3)
    (kernel,) = convolutions(model)[1].get_weights()  # (3, 3, 24, 30)
    others = kernel[..., 24:]
    limit = 1 / np.sqrt(9 * 24)
    assert 0.9 * limit < abs(others).max() <= limit
    assert abs(others.mean()) < 0.1 * limit


def test_it_learns_and_leaves_the_first_filters_and_scales_alone(trained):
    weights, history = trained
    before = network().get_weights()
    assert history[-1]["val_accuracy"] > 0.9
    assert history[-1]["loss"] < history[0]["loss"]
    assert all(said["seconds"] > 0 for said in history)
    names = [weight.path for weight in network().weights]
    for name, old, new in zip(names, before, weights, strict=True):
        kept = "gamma" in name or name == names[0]
        assert np.allclose(old, new, rtol=1e-5, atol=1e-6) == kept, name


def test_it_goes_on_after_an_epoch(trained, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, steps=3)
        train(network(), path)
    # The middle of the second epoch is lost, and done again; another process starts from anything.
    model = vgg(2, widths=(4,), input_shape=(9, 9, 3))
    assert_as_trained(model, train(model, path), trained)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The checkpoint of a training of one epoch, with the weights and the history it ended with."""
    path, model = tmp_path_factory.mktemp("finished") / "checkpoint.npz", network()
    history = train(model, path, epochs=1)
    return path, model.get_weights(), history


def test_a_training_that_was_over_is_not_repeated(finished):
    path, *trained = finished
    before = path.read_bytes()
    model = network()
    assert_as_trained(model, train(model, path, epochs=1), trained)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_training_is_refused(finished):
    path, *_ = finished
    wider = vgg(2, widths=(5,), input_shape=(9, 9, 3))
    for model, options in (
        (network(), {"epochs": 2}),
        (network(), {"epochs": 1, "seed": 3}),
        (network(), {"epochs": 1, "labels": 1 - LABELS}),
        (network(), {"epochs": 1, "learning_rate": 0.1}),
        (wider, {"epochs": 1}),
    ):
        with pytest.raises(ValueError, match=r"of this training.*Delete it.* Received"):
            train(model, path, **options)
