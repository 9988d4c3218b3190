import random

import keras
import numpy as np
import pytest

from moe_keras.training._lookahead import Lookahead
from moe_keras.training.checkpoint import Checkpoint
from moe_keras.training.resume import Resume

X, Y = np.ones((4, 1)), np.zeros(4)


def training(path, plan=None):
    """A compiled model, and the callback that writes its state."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model, Resume(path, Lookahead(8), plan or {"seed": 1})


def run(path, epochs):
    model, resume = training(path)
    first = resume.restore(model)
    callbacks = [resume.lookahead, resume]
    model.fit(X, Y, initial_epoch=first, epochs=epochs, verbose=0, callbacks=callbacks)
    return model, resume


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state.npz"
    run(path, 2)
    return path


def test_everything_that_moves_comes_back(path):
    model, resume = training(path)
    assert resume.restore(model) == 2
    following = random.random()
    resume.on_epoch_begin(2)
    random.seed(0)  # once only
    resume.on_epoch_begin(3)
    assert random.random() == random.Random(0).random() != following
    assert int(model.optimizer.iterations) == 2
    assert [set(said) for said in resume.history] == [{"loss", "seconds"}] * 2
    assert len(resume.lookahead.slow) == 2


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, resume = run(None, 1)
    assert len(resume.history) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_file_is_left(path):
    assert [file.name for file in path.parent.iterdir()] == ["state.npz"]


def test_another_plan_is_refused(path):
    model, resume = training(path, {"seed": 2})
    with pytest.raises(ValueError, match=r"'seed': 2.*Delete it.*Received: {'seed': 1}"):
        resume.restore(model)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-40], lambda b: b[:9], lambda b: b"", lambda b: b[::-1]]
)
def test_a_damaged_file_is_refused(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    model, resume = training(path)
    with pytest.raises(ValueError, match=r"state.npz to be a checkpoint; it is damaged. Delete it"):
        resume.restore(model)


def test_a_flipped_bit_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 150] ^= 1
    path.write_bytes(content)
    model, resume = training(path)
    with pytest.raises(ValueError, match="damaged"):
        resume.restore(model)


def test_arrays_of_something_else_are_refused(path):
    np.savez(path, other=np.ones(3))
    model, resume = training(path)
    with pytest.raises(ValueError, match="damaged"):
        resume.restore(model)


@pytest.mark.parametrize(
    "about",
    [
        *({"history": junk} for junk in (None, 3, {}, [3], [{}], [{"seconds": "long"}])),
        *({"random": junk} for junk in (None, 3, [], [3, [1, 2], None], [3, ["a"] * 625, None])),
    ],
)
def test_a_state_that_is_none_is_refused(path, about):
    read = Checkpoint.read(path)
    for changes in (about, dict.fromkeys(about)):
        kept = {k: v for k, v in (read.about | changes).items() if v is not None}
        read._replace(about=kept).write(path)
        model, resume = training(path)
        with pytest.raises(ValueError, match=r"damaged\. Delete it"):
            resume.restore(model)
