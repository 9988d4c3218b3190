import errno
import itertools
import os
import zipfile

import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras.experts import FrozenExpert, vgg
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine
from moe_keras.training import FrozenOutputs, assemble

SHAPE = (9, 9, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE)).astype("uint8")
LABELS = np.random.default_rng(1).integers(0, 3, 30)


def expert(seed=0, width=4, **options):
    keras.utils.set_random_seed(seed)
    return FrozenExpert(vgg(3, widths=(width,), input_shape=SHAPE, **options))


@pytest.fixture
def runs(monkeypatch):
    """The names of the experts that ran."""
    names, real = [], FrozenOutputs._run

    def counting(self, expert, images):
        names.append(expert.name)
        return real(self, expert, images)

    monkeypatch.setattr(FrozenOutputs, "_run", counting)
    return names


@pytest.fixture
def outputs(tmp_path):
    return FrozenOutputs(tmp_path, batch_size=8, verbose=0)


def test_the_answers_are_the_experts(outputs):
    one = expert()
    said = outputs(one, IMAGES)
    np.testing.assert_allclose(said, to_numpy(one(IMAGES)), atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        said[0] = 0


def test_it_runs_once_in_memory_and_on_disk(outputs, runs, tmp_path):
    first = outputs(expert(), IMAGES)
    # The same network made anew has other names; another process has the file alone.
    assert outputs(expert(), IMAGES) is first
    later = FrozenOutputs(tmp_path, verbose=0)(expert(), IMAGES.copy())
    assert np.array_equal(first, later)
    assert len(runs) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_change_of_anything_gives_new_answers(outputs, runs):
    one = expert()
    said = [outputs(one, IMAGES)]
    weights = one.get_weights()
    weights[-1] = weights[-1] + np.float32([1e-3, 0, 0])
    one.layer.set_weights(weights)
    said.append(outputs(one, IMAGES))
    other = IMAGES.copy()
    other[3, 4, 5, 0] ^= 128
    said.append(outputs(one, other))
    for a, b in itertools.pairwise(said):
        assert not np.array_equal(a, b)
    outputs(one, IMAGES[::-1])
    outputs(one, IMAGES.astype("float32"))
    assert len(runs) == 5


def test_the_architecture_counts_where_weights_are_the_same(outputs, runs):
    plain, quick = expert(), expert(dtype="mixed_bfloat16")
    quick.layer.set_weights(plain.get_weights())
    assert not np.array_equal(outputs(plain, IMAGES), outputs(quick, IMAGES))
    for activation in ("relu", "tanh"):
        dense = keras.layers.Dense(2, activation=activation, kernel_initializer="ones")
        outputs(FrozenExpert(keras.Sequential([keras.layers.Flatten(), dense])), IMAGES)
    assert len(runs) == 4


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b"", lambda b: b[:200] + b"?" * 9])
def test_a_damaged_file_is_made_anew(outputs, runs, tmp_path, damage):
    said = outputs(expert(), IMAGES)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again = FrozenOutputs(tmp_path, verbose=0)
    np.testing.assert_allclose(again(expert(), IMAGES), said, atol=1e-6)
    assert len(runs) == 2
    FrozenOutputs(tmp_path, verbose=0)(expert(), IMAGES)
    assert len(runs) == 2


def test_an_expert_that_learns_is_refused(outputs):
    with pytest.raises(ValueError, match=r"wrap it in FrozenExpert.*'eager', .* 10 weights"):
        outputs(vgg(3, widths=(4,), input_shape=SHAPE, name="eager"), IMAGES)


def test_many_tensors_are_refused(outputs):
    inputs = keras.Input(SHAPE)
    two = FrozenExpert(keras.Model(inputs, [inputs, inputs]))
    with pytest.raises(ValueError, match="gives one tensor"):
        outputs(two, IMAGES)


@pytest.mark.parametrize("images", [IMAGES[:0], [], 3, ["a"], [[1], [1, 2]], None], ids=repr)
def test_no_images_are_refused(outputs, images):
    with pytest.raises(ValueError, match=r"Expected .*images in"):
        outputs(expert(), images)


def test_a_function_is_refused(outputs):
    with pytest.raises(ValueError, match="wrap a function in a layer"):
        outputs(np.mean, IMAGES)


@pytest.mark.parametrize("fault", ["full", "a file", "read-only"])
def test_a_disk_that_takes_nothing_costs_a_warning(tmp_path, runs, monkeypatch, fault):
    folder = tmp_path / "kept"
    if fault == "a file":
        folder.write_text("in the way")
    else:
        code = {"full": errno.ENOSPC, "read-only": errno.EROFS}[fault]

        def refuse(self, mode="r", *arguments, **options):
            raise OSError(code, os.strerror(code), str(self))

        monkeypatch.setattr(zipfile.ZipFile, "__init__", refuse)
    outputs = FrozenOutputs(folder, verbose=0)
    one = expert()
    with pytest.warns(UserWarning, match="cannot be kept in") as warned:
        answers = outputs(one, IMAGES), outputs(one, IMAGES[:20])
    assert len([w for w in warned if w.category is UserWarning]) == 1
    for answer in answers:
        np.testing.assert_allclose(answer, to_numpy(one(IMAGES[: len(answer)])), atol=1e-6)
    assert outputs(one, IMAGES) is answers[0]  # in memory it is kept
    assert len(runs) == 2


def test_the_batch_size_is_checked(tmp_path):
    with pytest.raises(ValueError, match="batch_size=0"):
        FrozenOutputs(tmp_path, batch_size=0)


def test_the_whole_mixture_says_what_the_head_says(outputs):
    experts = [expert(seed=1), expert(seed=2, width=6)]
    kept = [outputs(one, IMAGES) for one in experts]
    said = [keras.Input((3,)), keras.Input((3,))]
    merged = keras.ops.concatenate(said, axis=-1)  # (B, E * C)
    weights = PerClassGate(3, 2)(merged)["probabilities"]
    head = keras.Model(said, Combine()(weights, said))
    head.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    head.fit(kept, LABELS, epochs=3, verbose=0)
    mixture = assemble(experts, head, SHAPE)
    np.testing.assert_allclose(
        mixture.predict(IMAGES, verbose=0), head.predict(kept, verbose=0), atol=1e-5
    )
    # Its gate can be trained further; the experts stay.
    assert len(mixture.trainable_weights) == len(head.trainable_weights) == 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "bool"])
def test_images_of_every_dtype(tmp_path, dtype):
    layer, images = FrozenExpert(keras.layers.Dense(3)), np.eye(4, dtype="float32")
    expected = to_numpy(layer(images))
    images = to_numpy(keras.ops.cast(images, dtype))
    np.testing.assert_allclose(FrozenOutputs(tmp_path, verbose=0)(layer, images), expected, 1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16", "float64"])
def test_answers_of_every_precision_are_read_as_they_were_written(tmp_path, dtype):
    layer = FrozenExpert(keras.layers.Dense(3, dtype=dtype))
    first, later = (FrozenOutputs(tmp_path, verbose=0)(layer, np.eye(4)) for _ in range(2))
    assert first.dtype == later.dtype
    np.testing.assert_array_equal(first, later)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [lambda y: y.astype("U9"), lambda y: y.astype("M8[s]"), lambda y: y[0], lambda y: y[:9]],
)
def test_a_file_of_other_numbers_is_made_anew(tmp_path, change):
    layer = FrozenExpert(keras.layers.Dense(3))
    expected = FrozenOutputs(tmp_path, verbose=0)(layer, np.eye(12))
    (file,) = tmp_path.iterdir()
    np.savez(file, outputs=change(expected))
    np.testing.assert_array_equal(FrozenOutputs(tmp_path, verbose=0)(layer, np.eye(12)), expected)
